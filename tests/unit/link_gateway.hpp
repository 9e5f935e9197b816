#pragma once

// Monitors of several links and one route supervisor together on virtual time: what the receiver sees of a switch.

#include "common/link/route_supervisor.hpp"
#include "link_world.hpp"
#include "services/uplink/reconnect.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <set>

namespace holdfast::link::test {

using namespace std::chrono_literals;

/// Links in order of priority, one class, records at a steady rate. The shell does what services do: it carries out
/// actions, reports each change of health and each second, closes a session that is down and opens a new one.
class gateway {
public:
  gateway(const std::vector<profile>& profiles, std::uint64_t seed, clock::duration interval = 1ms)
      : interval_(interval), supervisor(options(profiles), {{.name = "telemetry"}}) {
    for (const auto& p : profiles) {
      auto& l = links.emplace_back(std::make_unique<line>(p, seed + links.size()));
      const auto i = links.size() - 1;
      l->w.interval = clock::duration::max();
      l->w.acknowledged = [this, i](std::uint64_t wire) { on_acknowledged(i, wire); };
      l->w.arrives = [this, i](std::uint64_t wire, time_point at) { arrivals_.insert({at, links[i]->sent.at(wire)}); };
      report(*l);
    }
    now = links.front()->w.now;
    next_record_ = now;
  }

  struct line {
    line(const profile& p, std::uint64_t seed) : name(p.name), w(p, seed) {}
    std::string name;
    world w;
    std::map<std::uint64_t, std::uint64_t> sent;  // unacknowledged: id on this link -> record
    std::uint64_t last_id = 0;
    std::size_t seen_changes = 0;
    time_point retry = never;
    bool connecting = false;
    std::optional<uplink::reconnect> backoff{};  // none: half a second
    clock::duration connect_timeout{};
  };

  void run(time_point end) {
    for (;;) {
      const auto due = supervisor.next_deadline();
      auto at = std::min({next_record_, next_report_, due ? std::max(*due, now) : never,
                          arrivals_.empty() ? never : arrivals_.begin()->first});
      line* first = nullptr;
      for (auto& l : links)
        for (const auto t : {l->w.next(), l->retry})
          if (t < at) {
            at = t;
            first = l.get();
          }
      if (at > end)
        break;
      now = at;
      if (first != nullptr)
        step(*first);
      else
        step();
      act();
    }
    now = end;
  }

  std::vector<std::unique_ptr<line>> links;
  time_point now{};
  std::uint64_t produced = 0;
  std::uint64_t doubled = 0;
  clock::duration longest_gap{};   // between new records at the receiver; reset by the test
  int switches = 0;
  std::vector<std::string> events;
  std::set<std::uint64_t> missing; // produced and not at the receiver

  void stop_producing() { next_record_ = never; }
  void cut(std::size_t link, bool forward, bool backward, clock::duration length) {
    auto& w = links[link]->w;
    if (forward) {
      w.up.cut = now;
      w.up.heal = now + length;
    }
    if (backward) {
      w.down.cut = now;
      w.down.heal = now + length;
    }
  }

private:
  static std::vector<link_options> options(const std::vector<profile>& profiles) {
    std::vector<link_options> out;
    for (const auto& p : profiles)
      out.push_back({.name = std::string(p.name), .priority = static_cast<unsigned>(out.size()), .route = p.route,
                     .damping = p.damping});
    return out;
  }
  line* find(const std::string& name) {
    for (auto& l : links)
      if (l->name == name)
        return l.get();
    return nullptr;
  }
  void transmit(line& l, std::uint64_t record) {
    l.w.now = now;
    l.sent[++l.last_id] = record;
    l.w.send(l.last_id);
  }
  void step() {
    if (!arrivals_.empty() && arrivals_.begin()->first == now) {
      const auto record = arrivals_.begin()->second;
      arrivals_.erase(arrivals_.begin());
      if (missing.erase(record) == 0) {
        ++doubled;
        return;
      }
      longest_gap = std::max(longest_gap, now - last_arrival_);
      last_arrival_ = now;
    } else if (next_record_ == now) {
      next_record_ += interval_;
      missing.insert(++produced);
      waiting_.push_back(produced);
    } else if (next_report_ == now) {
      next_report_ += 1s;
      for (auto& l : links)
        report(*l);
    } else {
      supervisor.tick(now);
    }
  }
  void step(line& l) {
    if (l.retry > now) {
      l.w.step(now);
      if (l.w.changes.size() > std::exchange(l.seen_changes, l.w.changes.size())) {
        report(l);
        if (l.w.m.health() == health::down)
          l.retry = now;
        if (l.w.m.health() == health::down && l.backoff)
          l.backoff->lost(now);
      }
      return;
    }
    // A session is opened in two round trips, if nothing of it is lost; tried again after half a second.
    const bool broken = l.w.up.lost(now) || l.w.down.lost(now);
    l.w.now = now;
    if (!l.connecting) {
      l.w.m.connecting(now);
      l.connecting = true;
      l.retry = now + 4 * path_of(*profile_named(l.name)).delay;
    } else if (broken) {
      l.connecting = !l.backoff;
      l.retry = now + (l.backoff ? failed(l) : clock::duration(500ms));
    } else {
      l.connecting = false;
      l.retry = never;
      if (l.backoff)
        l.backoff->established(now);
      l.w.m.opened(now);
    }
    l.w.m.take();
    report(l);
  }
  clock::duration failed(line& l) {
    l.backoff->lost(now);
    return l.connect_timeout + l.backoff->wait(std::uniform_real_distribution<>(0, 1)(chance_));
  }
  void report(line& l) {
    const auto& m = l.w.m;
    supervisor.report(l.name, {.health = m.health(), .cause = l.w.changes.empty() ? "" : l.w.changes.back().cause,
                               .round_trip = std::chrono::duration_cast<std::chrono::microseconds>(
                                 m.round_trip().smoothed()), .proofs = m.proofs()}, now);
  }
  void on_acknowledged(std::size_t i, std::uint64_t wire) {
    auto& l = *links[i];
    if (l.sent.erase(wire) > 0)
      supervisor.carried(l.name, "telemetry", now);
  }
  /// What a link holds goes to the others as well.
  void offer_again(line& l, bool over) {
    std::deque<std::uint64_t> again;
    for (const auto& [wire, record] : l.sent)
      if (shared_.insert(record).second || over)
        again.push_back(record);
    waiting_.insert(waiting_.begin(), again.begin(), again.end());
    if (over)
      l.sent.clear();
  }
  void act() {
    using type = route_supervisor::action::type;
    for (const auto& a : supervisor.take()) {
      if (a.what == type::switched || a.what == type::diverted || a.what == type::returned)
        events.push_back(fmt::format("{}>{}: {}", a.from, a.to, a.cause));
      switches += a.what == type::switched ? 1 : 0;
      if (a.what == type::share || a.what == type::release)
        offer_again(*find(a.from), a.what == type::release);
    }
    const auto& r = supervisor.route_of("telemetry");
    if (r.carriers.empty())
      return;
    while (!waiting_.empty()) {
      transmit(*find(r.carriers.front()), waiting_.front());
      if (!r.trial.empty()) {
        transmit(*find(r.trial), waiting_.front());
        supervisor.offered("telemetry", now);
      }
      waiting_.pop_front();
    }
  }

  clock::duration interval_;
  time_point next_record_{};
  time_point next_report_{};
  time_point last_arrival_{};
  std::multimap<time_point, std::uint64_t> arrivals_;
  std::deque<std::uint64_t> waiting_;
  std::set<std::uint64_t> shared_;
  dice chance_{1};

public:
  route_supervisor supervisor;
};

/// Everything that was produced is at the receiver in the end.
inline void settle(gateway& g) {
  g.stop_producing();
  g.run(g.now + 30s);
  CHECK(g.missing.empty());
}

} // namespace holdfast::link::test
