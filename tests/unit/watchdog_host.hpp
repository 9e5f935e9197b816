#pragma once

// A host of services for the tests of the watchdog's restart policy.

#include "services/watchdog/restart_policy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace test {

using namespace holdfast;
using namespace holdfast::watchdog;
using namespace std::chrono_literals;

inline const exit_status crash{.code = {}, .signal = 11};
inline const exit_status clean{.code = 0, .signal = {}};
inline const exit_status bad_config{.code = 78, .signal = {}};
inline const exit_status already_running{.code = 73, .signal = {}};

/// A host of services a, b, c ... on a clock of its own. Starts succeed at once unless told otherwise.
struct host {
  restart_policy policy;
  time_point now = time_point{} + 1h;
  bool startable = true;
  std::string told;  // what happened since the last look: "+a" start, "-a" SIGTERM, "!a" abort, "#a" kill, ...

  explicit host(std::size_t n, config::watchdog limits = {}, milliseconds budget = 9000ms) : policy(limits, n, budget) {
    policy.start(now);
    settle();
  }

  void settle() {
    for (auto actions = policy.take(); !actions.empty(); actions = policy.take())
      for (auto& a : actions)
        carry_out(a);
  }

  void carry_out(const action& a) {
    static const std::string marks = "+-!#";
    const char who = static_cast<char>('a' + a.service);
    switch (a.what) {
      case action::type::failed: told += fmt::format("{}waits{} ", who, a.wait.count()); break;
      case action::type::ended: told += fmt::format("{}ended ", who); break;
      case action::type::quarantined: told += fmt::format("{}quarantined ", who); break;
      case action::type::recovered: told += fmt::format("{}recovered ", who); break;
      case action::type::all_gone: told += "gone "; break;
      default: told += fmt::format("{}{} ", marks[static_cast<std::size_t>(a.what)], who);
    }
    if (a.what == action::type::start) {
      if (startable)
        policy.started(a.service, now);
      else
        policy.start_failed(a.service, "failed to start: no such file", now);
    }
  }

  std::string look() { return std::exchange(told, {}); }

  /// Time passes in steps; the policy ticks.
  std::string pass(milliseconds d, milliseconds step = 10ms) {
    for (milliseconds t{0}; t < d; t += step) {
      now += step;
      policy.tick(now);
      settle();
    }
    return look();
  }

  std::string exits(std::size_t i, const exit_status& how = crash) {
    policy.exited(i, how, now);
    settle();
    return look();
  }

  template <class F> std::string after(F event) {
    event();
    settle();
    return look();
  }
};

inline config::watchdog rest_for_one() {
  config::watchdog w;
  w.strategy = config::restart_strategy::rest_for_one;
  return w;
}

} // namespace test
