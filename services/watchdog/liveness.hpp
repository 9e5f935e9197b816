#pragma once

#include "common/config/config.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::watchdog {

using std::chrono::milliseconds;
using time_point = std::chrono::steady_clock::time_point;

/// One work loop in a heartbeat: how long ago it last got through a turn, and how long it may take.
struct loop_age {
  std::string name;
  milliseconds age{0};
  milliseconds limit{0};
};

/// What liveness needs of a holdfast.v1.Heartbeat and its Envelope.
struct heartbeat {
  long pid = 0;
  std::uint64_t incarnation = 0;
  std::vector<loop_age> loops;
};

/// Which of its loops is over its limit, in words; empty: none.
std::string overdue_loop(const heartbeat& h);

/// Judges by their heartbeats which processes hang. Pure: events in, findings out, time passed in.
///
/// A process hangs when no heartbeat came for `limit` (before its first one: `start_limit` from its start), or when a
/// heartbeat says that one of its loops is over that loop's own limit.
///
/// Who was not awake cannot judge: when tick() comes late by more than half the limit, or by more than a second, or
/// excuse() says so, everybody gets a fresh limit.
class liveness {
public:
  enum class effect {
    ignored,    ///< not of the present process
    first,      ///< of this life
    ordinary,
    recovered,  ///< it had been found hung
  };
  struct finding {
    std::size_t service;
    std::string reason;
  };

  liveness(const config::watchdog& limits, std::size_t services);

  /// A process is to be judged from now on. It started at `began`. Pid 0: any process, told apart by incarnation (one
  /// that lives in another container).
  void watch(std::size_t service, long pid, time_point began, time_point now);
  /// It ended: late heartbeats of it are ignored from now on.
  void forget(std::size_t service);
  effect beat(std::size_t service, const heartbeat& h, time_point now);
  /// Processes that hang, each told once.
  std::vector<finding> tick(time_point now);
  /// When tick() could find the next one, if no more heartbeats come.
  std::optional<time_point> next_due() const;
  /// Heartbeats may have been lost on our side.
  void excuse(time_point now);

  /// Every service has beaten in its present life.
  bool all_seen() const;
  std::uint64_t excuses() const noexcept { return excuses_; }

private:
  struct watched {
    bool active = false;
    bool hung = false;
    long pid = 0;
    std::uint64_t incarnation = 0;  // of the present life, once it beat
    std::uint64_t retired = 0;      // of the life before
    time_point first_due{};
    std::optional<time_point> last{};
    std::string stuck{};            // what the last heartbeat says about an overdue loop
  };

  void check_own_pace(time_point now);
  time_point due(const watched& w) const;
  std::optional<std::string> trouble(const watched& w, time_point now) const;

  config::watchdog limits_;
  std::vector<watched> watched_;
  std::optional<time_point> last_tick_;
  time_point fresh_until_{};
  time_point counted_{};  // the last excuse
  std::uint64_t excuses_ = 0;
};

} // namespace holdfast::watchdog
