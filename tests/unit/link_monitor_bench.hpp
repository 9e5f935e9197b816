#pragma once

// A link monitor on a clock of its own, what it asked for, and what it said.

#include "common/link/monitor.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace monitor_test {

using namespace holdfast::link;
using namespace std::chrono_literals;

using type = monitor::action::type;

struct bench {
  monitor m;
  time_point now = time_point{} + 1h;
  std::uint64_t id = 0;
  std::vector<std::uint64_t> probes;        // asked for
  std::vector<time_point> asked_at;
  std::size_t answered = 0;
  std::vector<std::string> changes;         // "up: session stands"

  explicit bench(const profile& p = fibre()) : m(p) {
    m.opened(now);
    act();
  }
  void act() {
    for (const auto& a : m.take())
      if (a.what == type::probe) {
        probes.push_back(a.probe);
        asked_at.push_back(now);
      } else {
        changes.push_back(std::string(to_string(a.to)) + ": " + a.cause);
      }
  }
  /// Let time pass; ticks come when they are due.
  void pass(clock::duration d) {
    const auto end = now + d;
    while (m.next_deadline() && *m.next_deadline() <= end) {
      now = std::max(now, *m.next_deadline());
      m.tick(now);
      act();
    }
    now = end;
  }
  std::uint64_t send(std::uint64_t bytes = 1000, bool loaded = false) {
    m.sent(++id, bytes, now, loaded);
    return id;
  }
  void acknowledge(std::uint64_t which) {
    m.acknowledged(which, now);
    act();
  }
  /// Probes come back, data never.
  void answer_probes(clock::duration d, clock::duration trip = 5ms) {
    for (const auto end = now + d; now < end;) {
      pass(1ms);
      while (answered < probes.size() && asked_at[answered] + trip <= now) {
        m.probe_answered(probes[answered++], now);
        act();
      }
    }
  }
  /// Data that are answered after `trip`, n times.
  void talk(int n, clock::duration trip = 5ms) {
    for (int i = 0; i < n; ++i) {
      const auto sent = send();
      pass(trip);
      acknowledge(sent);
    }
  }
  /// The first change to h from now on, and how long it took; or a minute.
  clock::duration until(health h) {
    const auto begin = now;
    while (m.health() != h && now < begin + 60s)
      pass(1ms);
    return now - begin;
  }
};

} // namespace monitor_test
