#pragma once

#include "common/net/path.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::uplink {

/// Whether the other end still answers (mission M1), and so whether the session goes on; link::monitor decides much
/// sooner whether it carries. Pure: time is passed in. Anything that arrives is a sign of life; after an interval of
/// silence a ping asks for one.
///
/// On a slow link an answer waits behind data. While the other end's TCP takes what waits here, the path is alive, and
/// silence is forgiven up to `patience` timeouts, also beyond a hole that it is about to fill. No longer: a kernel
/// acknowledges for a program that hangs, too.
class heartbeat {
public:
  using clock = std::chrono::steady_clock;

  static constexpr int patience = 3;

  heartbeat(std::chrono::milliseconds interval, std::chrono::milliseconds timeout)
      : interval_(interval), timeout_(timeout) {}

  void opened(clock::time_point now);
  void heard(clock::time_point now) { last_heard_ = now; }
  /// Id of a ping that is to be sent now.
  std::optional<std::uint64_t> ping_due(clock::time_point now);
  /// What TCP says now. Bytes acknowledged count while more of them wait: of an idle connection they are but the
  /// ping's.
  void carried(const net::path_figures& path, clock::time_point now);
  /// What is expected since then is late: it was allowed so long, and the path carries nothing or patience ends.
  bool overdue(clock::time_point since, std::chrono::milliseconds allowed, clock::time_point now) const;
  bool dead(clock::time_point now) const { return overdue(last_heard_, timeout_, now); }

private:
  std::chrono::milliseconds interval_;
  std::chrono::milliseconds timeout_;
  clock::time_point last_heard_{};
  clock::time_point last_ping_{};
  clock::time_point last_carried_{};
  std::uint64_t acknowledged_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t id_ = 0;
};

} // namespace holdfast::uplink
