#pragma once

// One link on virtual time, from one seed: a monitor, its shell, and a path to a collector with delay, jitter, stalls,
// a rate, and a cut in each direction. What a path is, in one place for all simulations.

#include "common/link/monitor.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <utility>
#include <vector>

namespace holdfast::link::test {

using dice = std::mt19937_64;
constexpr time_point never = time_point::max();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned share = 10;  // sanitizers look for mistakes, not for figures: a tenth of each run will do
#else
constexpr unsigned share = 1;
#endif

inline clock::duration uniform(dice& r, clock::duration low, clock::duration high) {
  return clock::duration(std::uniform_int_distribution<clock::rep>(low.count(), high.count())(r));
}

/// What a link is like. Jitter wanders slowly in each direction, and sometimes the whole link stands still for a moment
/// (a handover, a modem that trains) and then everything comes at once. In order, as on TCP.
struct path_kind {
  clock::duration delay;           // one way
  clock::duration jitter;          // above the delay, drawn anew every `coherence`
  clock::duration coherence;
  clock::duration stall_every;     // on average, and a second
  clock::duration stall_least;
  clock::duration stall_most;
  double rate;                     // bytes per second
};

/// When the link stands still.
class standstills {
public:
  standstills(path_kind kind, time_point begin) : kind_(kind), drawn_to_(begin) {}

  /// When something that would arrive then does arrive. `now` only goes on.
  time_point release(time_point at, time_point now, dice& r) {
    while (by_themselves && drawn_to_ <= at) {
      std::exponential_distribution<double> wait(1 / seconds(kind_.stall_every).count());
      drawn_to_ += kind_.stall_most + std::chrono::seconds(1) + ticks(seconds(wait(r)));  // not two in a row
      add(drawn_to_, r);
    }
    while (!all_.empty() && all_.front().second <= now)
      all_.pop_front();
    for (const auto& [begin, end] : all_)
      if (at >= begin && at < end)
        at = end;
    return at;
  }
  void add(time_point begin, dice& r) {
    all_.push_back({begin, begin + uniform(r, kind_.stall_least, kind_.stall_most)});
  }

  bool by_themselves = true;

private:
  path_kind kind_;
  time_point drawn_to_;
  std::deque<std::pair<time_point, time_point>> all_;
};

/// One direction.
class path {
public:
  path(path_kind kind, time_point begin) : kind_(kind), drawn_(begin) {}

  double slower = 1;         ///< all delays times this
  time_point cut = never;    ///< what enters from here on is lost ...
  time_point heal = never;   ///< ... to here
  bool lost(time_point enters) const { return enters >= cut && enters < heal; }

  time_point arrival(time_point enters, std::uint64_t bytes, standstills& stalls, time_point now, dice& r) {
    free_ = std::max(enters, free_) + ticks(seconds(static_cast<double>(bytes) / kind_.rate));
    if (enters >= drawn_) {
      drawn_ = enters + kind_.coherence;
      jitter_ = uniform(r, {}, kind_.jitter);
    }
    const auto at = free_ + ticks(seconds(kind_.delay + jitter_) * slower);
    return last_ = std::max(last_, stalls.release(at, now, r));
  }

private:
  path_kind kind_;
  time_point drawn_;
  clock::duration jitter_{};
  time_point free_{};
  time_point last_{};
};

/// Fibre, 5G, GEO: round trip 4 / 40 / 600 ms and jitter, with p99.9 about 3 / 140 / 170 ms above the median.
inline path_kind path_of(const profile& p) {
  using namespace std::chrono_literals;
  if (p.name == "fibre")
    return {2ms, 2500us, 20ms, 30s, 5ms, 25ms, 10e6};
  if (p.name == "5g")
    return {20ms, 15ms, 20ms, 20s, 60ms, 190ms, 2.5e6};
  return {300ms, 15ms, 50ms, 20s, 60ms, 230ms, 250e3};
}

class world {
public:
  world(const profile& p, std::uint64_t seed)
      : dice_(seed), m(p), stalls(path_of(p), now), up(path_of(p), now), down(path_of(p), now) {
    m.opened(now);
  }

  dice dice_;
  time_point now = time_point{} + std::chrono::hours(1);
  monitor m;
  standstills stalls;
  path up;
  path down;
  clock::duration interval = std::chrono::milliseconds(1);  ///< between records; max: none
  std::uint64_t bytes = 200;
  double loss = 0;          ///< of data, as a datagram transport would see it
  bool slow_start = false;  ///< data wait for TCP's window, which is small after a second without any
  std::vector<monitor::action> changes;
  std::vector<time_point> changed_at;
  std::uint64_t items = 0;
  std::function<void(std::uint64_t, time_point)> arrives;  ///< at the collector, told when it is sent
  std::function<void(std::uint64_t)> acknowledged;

  /// Until `end` or until a change of health.
  bool run(time_point end, bool stop_at_change = false) {
    const auto seen = changes.size();
    while (!(stop_at_change && changes.size() > seen)) {
      const auto at = next();
      if (at > end) {
        now = end;
        return false;
      }
      step(at);
    }
    return true;
  }
  /// When something happens next.
  time_point next() const {
    const auto deadline = m.next_deadline();
    const auto tick = deadline ? std::max(*deadline + late_, now) : never;
    const auto at = std::min({tick, answers_.empty() ? never : answers_.front().at, next_send_});
    return at >= asleep_ && at < awake_ ? awake_ : at;
  }
  /// The process does not run for so long; then its timer is served before its sockets.
  void sleep(clock::duration d) {
    asleep_ = now;
    awake_ = now + d;
  }
  void step(time_point at) {
    now = at;
    const auto deadline = m.next_deadline();
    const bool overslept = now == awake_ && deadline && *deadline <= now;
    if (!overslept && !answers_.empty() && answers_.front().at <= now) {
      take_answer();
    } else if (!overslept && next_send_ <= now) {
      next_send_ = interval == clock::duration::max() ? never : now + interval;
      send(++id_);
    } else {
      m.tick(now);
      late_ = uniform(dice_, {}, std::chrono::milliseconds(2));  // a timer of the system
    }
    act();
  }
  /// A record goes out; its id is larger than the last.
  void send(std::uint64_t id, bool loaded = false) {
    ++items;
    m.sent(id, bytes, now, loaded);
    const bool lost = loss > 0 && std::bernoulli_distribution(loss)(dice_);
    if (loss > 0)
      m.packets(1, lost ? 1 : 0, now);
    if (under_way_ == 0 && now - last_data_ > std::chrono::seconds(1))
      window_ = first_window;
    last_data_ = now;
    queued_.push_back(id);
    fill_window();
  }
  void start_sending() { next_send_ = now; }
  void stop_sending() { next_send_ = never; }
  /// The health changed to h at this time, after `since`.
  time_point when(health h, time_point since) const {
    for (std::size_t i = 0; i < changes.size(); ++i)
      if (changes[i].to == h && changed_at[i] >= since)
        return changed_at[i];
    return never;
  }

private:
  struct answer {
    time_point leaves;
    time_point at;
    std::uint64_t id;
    bool is_probe;
  };

  static constexpr std::uint64_t first_window = 10 * 1448;

  void fill_window() {
    for (; !queued_.empty() && (!slow_start || under_way_ + bytes <= window_); queued_.pop_front()) {
      under_way_ += bytes;
      transmit(queued_.front(), bytes, false);
    }
  }
  void transmit(std::uint64_t id, std::uint64_t size, bool is_probe) {
    if (up.lost(now))
      return;
    const auto there = up.arrival(now, size, stalls, now, dice_);
    if (!is_probe && arrives)
      arrives(id, there);
    // The collector commits before it acknowledges; answers leave it in order.
    const auto commit = is_probe ? clock::duration(0)
                                 : uniform(dice_, std::chrono::microseconds(500), std::chrono::microseconds(2000));
    leaves_ = std::max(leaves_, there + commit);
    answers_.push_back({leaves_, down.arrival(leaves_, 100, stalls, now, dice_), id, is_probe});
  }
  void take_answer() {
    const auto a = answers_.front();
    answers_.pop_front();
    if (down.lost(a.leaves))
      return;
    if (a.is_probe)
      return m.probe_answered(a.id, now);
    window_ += under_way_ > window_ / 2 ? bytes : 0;
    under_way_ -= bytes;
    fill_window();
    m.acknowledged(a.id, now);
    if (acknowledged)
      acknowledged(a.id);
  }
  void act() {
    for (auto& a : m.take())
      if (a.what == monitor::action::type::probe) {
        transmit(a.probe, 110, true);
      } else {
        changes.push_back(std::move(a));
        changed_at.push_back(now);
      }
  }

  std::uint64_t id_ = 0;
  time_point next_send_ = never;
  time_point leaves_{};
  clock::duration late_{};
  time_point asleep_ = never;
  time_point awake_{};
  std::deque<answer> answers_;
  std::deque<std::uint64_t> queued_;
  std::uint64_t window_ = first_window;
  std::uint64_t under_way_ = 0;
  time_point last_data_{};
};

/// p in [0, 1] of what was measured, in milliseconds.
inline double quantile(std::vector<clock::duration> v, double p) {
  std::sort(v.begin(), v.end());
  const auto i = std::min(v.size() - 1, static_cast<std::size_t>(p * static_cast<double>(v.size())));
  return std::chrono::duration<double, std::milli>(v[i]).count();
}

} // namespace holdfast::link::test
