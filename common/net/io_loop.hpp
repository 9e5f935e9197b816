#pragma once

#include "common/telemetry/pulse.hpp"

#include <functional>
#include <memory>
#include <string>

namespace boost::asio {
class io_context;
}

namespace holdfast::net {

/// One thread that runs an Asio io_context until it is destroyed. Handlers run in it, one at a time, and must not
/// block.
class io_loop {
public:
  /// The loop beats as `name` in the pulse.
  io_loop(pulse& p, std::string name);
  ~io_loop();
  io_loop(const io_loop&) = delete;
  io_loop& operator=(const io_loop&) = delete;

  boost::asio::io_context& context() noexcept;
  void post(std::function<void()> work);
  /// Runs work in the loop and waits for it. Not from the loop itself.
  void run_and_wait(std::function<void()> work);

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace holdfast::net
