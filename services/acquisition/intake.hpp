#pragma once

#include "services/acquisition/acquisition.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast::acquisition {

/// Where a source's records come from. It sends `connected`, `received`, `datagram`, `sampled`, ... to the source's
/// slot from a thread of its own and never waits for it.
class intake {
public:
  virtual ~intake() = default;
  virtual void start() = 0;
  /// Takes no new data; what was read before still arrives, and then `intake_ended`. Idempotent.
  virtual void stop() = 0;
};

/// A connected device or an open line, one read at a time. Any thread.
class conversation {
public:
  virtual ~conversation() = default;
  virtual void resume() = 0;                     ///< read once more, then `received`
  virtual void write(std::string bytes) = 0;     ///< at most a small backlog is kept; above it the device is dropped
  virtual void close(const std::string& why) = 0;
  virtual const std::string& peer() const = 0;
};

struct intake_setup {
  std::shared_ptr<context> ctx;
  std::shared_ptr<actor::slot> to;
  config::source settings;
};

std::unique_ptr<intake> make_tcp_server(intake_setup s);
std::unique_ptr<intake> make_tcp_client(intake_setup s);
std::unique_ptr<intake> make_udp_server(intake_setup s);
std::unique_ptr<intake> make_serial(intake_setup s);
std::unique_ptr<intake> make_modbus(intake_setup s);
std::unique_ptr<intake> make_simulator(intake_setup s);

/// The one for the configured kind.
std::unique_ptr<intake> make_intake(intake_setup s);

/// Both clocks now.
timestamp now();

} // namespace holdfast::acquisition
