#pragma once

#include "common/config/config.hpp"

#include <chrono>
#include <deque>

namespace holdfast::watchdog {

using std::chrono::milliseconds;
using time_point = std::chrono::steady_clock::time_point;

/// Counts the failures of one service and decides how long to wait before its next start: at once, then backoff_first
/// doubling to backoff_cap; more than `intensity` failures within `period`: quarantine, one start per `quarantine`.
class restart_history {
public:
  explicit restart_history(const config::watchdog& limits) : limits_(limits) {}

  struct decision {
    milliseconds wait{0};
    bool quarantine_begins = false;
  };

  /// A life of this length ended unasked. `hopeless`: it ended with a code that no quick start mends; straight to
  /// quarantine.
  decision failed(milliseconds life, bool hopeless, time_point now);

  /// A life of this length goes on. Once it is `stable`, all is forgiven; true when that ended a quarantine.
  bool settle(milliseconds life);

  bool quarantined() const noexcept { return quarantined_; }

private:
  milliseconds backoff();

  config::watchdog limits_;
  std::deque<time_point> recent_;  // failures within the period
  unsigned in_a_row_ = 0;
  bool quarantined_ = false;
};

} // namespace holdfast::watchdog
