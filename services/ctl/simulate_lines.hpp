#pragma once

// The device of the simulated plant that sends numbered lines; its protocol is in simulate.hpp.

#include "services/ctl/simulate.hpp"
#include "services/ctl/simulate_socket.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <random>
#include <string>

namespace holdfast::ctl {

class line_device {
public:
  /// The options must outlive the device.
  explicit line_device(const simulate_options& o) : o_(o) {}

  void run(const std::atomic<bool>& stop);
  /// Any thread: all of lines_total are confirmed (or sent, where nobody confirms).
  bool complete() const { return complete_; }
  std::string counts() const; ///< any thread

private:
  using clock = std::chrono::steady_clock;

  void produce();
  std::string line() const;
  void fill();
  bool send();
  bool receive();
  void counted(std::int64_t count);
  void drop(std::uint64_t last);
  void lost();

  const simulate_options& o_;
  descriptor socket_;
  std::deque<std::string> kept_;    // unconfirmed, the front one is number first_
  std::uint64_t first_ = 1;
  std::size_t written_ = 0;         // of kept_, on this connection
  std::uint64_t last_sent_ = 0;     // ever
  std::int64_t offset_ = 0;         // line number minus the gateway's count
  std::string out_, in_;
  bool based_ = false;              // the first number of this life is known
  bool connected_ = false;
  bool synced_ = false;             // the first number of this connection is known
  clock::time_point pace_{}, retry_at_{};
  std::uint64_t paced_ = 0;
  std::minstd_rand random_{std::random_device{}()};
  std::atomic<bool> complete_{false};
  std::atomic<std::uint64_t> made_{0}, sent_{0}, again_{0}, confirmed_{0}, forgotten_{0}, connections_{0};
};

} // namespace holdfast::ctl
