#pragma once

// A board, its links' pipes, and a centre, on virtual time: what arrives, when, and what it cost.

#include "store_route_bench.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace route_board_test {

/// A batch of ten records per class and `interval`. Links do what the test says; what a broken one carries is lost.
struct route_world {
  struct pipe {
    std::chrono::milliseconds delay;
    double rate = 10e6;             // bytes/s
    bool there = true;              // data pass
    bool back = true;               // acknowledgements pass
    health::Health told = health::HEALTH_UP;
    std::uint64_t wire = 0;         // bytes
    std::uint64_t unsaid = 0;       // of them, that the uplink has not told
    std::uint64_t batches = 0;      // leased to it
    link::time_point free{};
  };
  struct parcel {
    std::string link, record_class;
    seq_range seqs;
  };

  static constexpr auto tick = 5ms;

  bench b;
  std::map<std::string, pipe> pipes;
  std::chrono::milliseconds interval{20};
  std::uint64_t batch_bytes = 1000;
  bool producing = true;
  std::map<std::string, std::uint64_t> heads;                     // by class
  std::map<std::string, std::map<std::uint64_t, link::time_point>> stored;   // not yet at the centre
  std::map<std::string, std::set<std::uint64_t>> at_centre;
  std::uint64_t doubled = 0;                                      // that came to the centre again
  std::uint64_t confirmed = 0;
  link::clock::duration slowest{};                                // from the store to the centre; reset by the test

  route_world(config::gateway c, std::map<std::string, std::chrono::milliseconds> delays) : b(std::move(c)) {
    for (auto& [name, delay] : delays)
      pipes.emplace(name, pipe{delay});
  }

  void say(const std::string& link, health::Health h) {
    auto& p = pipes.at(link);
    p.told = h;
    b.say(link, h, "test", std::exchange(p.unsaid, 0));
    pump();
  }
  /// Its session ends, and a new one stands.
  void reopen(const std::string& link) {
    b.board.down(link, "closed", b.t);
    answers_.clear_of(link);
    b.board.ready(link, 1 << 20, b.t);
    store::dispatch_plan::ranges_by_class present;
    for (auto& [name, all] : at_centre)
      for (auto first : all)
        present[name].push_back({first, first + 9});
    b.board.plan.reconcile(present);
    say(link, health::HEALTH_UP);
  }
  void run(std::chrono::milliseconds d) {
    for (const auto end = b.t.now + d; b.t.now < end;)
      step();
  }

private:
  struct mail : std::multimap<link::time_point, parcel> {
    void clear_of(const std::string& link) {
      std::erase_if(*this, [&](auto& e) { return e.second.link == link; });
    }
    std::optional<parcel> due(link::time_point now) {
      if (empty() || begin()->first > now)
        return std::nullopt;
      auto p = begin()->second;
      erase(begin());
      return p;
    }
  };

  void step() {
    b.t.now += tick;
    b.t.unix_nanos += std::chrono::nanoseconds(tick).count();
    elapsed_ += tick;
    while (auto p = arrivals_.due(b.t.now))
      arrive(*p);
    while (auto p = answers_.due(b.t.now))
      if (pipes.at(p->link).back)
        for (auto& whole : b.board.acknowledged(p->link, p->record_class, p->seqs, b.t))
          confirmed += whole.count();
    if (producing && elapsed_ % interval == 0ms)
      for (auto& c : b.c.classes)
        produce(c.name);
    if (elapsed_ % 500ms == 0ms)
      b.board.tick(b.t);
    b.collect();
    pump();
    if (elapsed_ % 1000ms == 0ms)
      for (auto& [name, p] : pipes)
        say(name, p.told);
  }
  void produce(const std::string& record_class) {
    auto& head = heads[record_class];
    b.board.plan.stored(record_class, {head + 1, head + 10});
    stored[record_class][head + 1] = b.t.now;
    head += 10;
  }
  void arrive(const parcel& p) {
    auto& to = pipes.at(p.link);
    spend(to, 100);  // the answer, on its way already or not
    answers_.insert({b.t.now + to.delay, p});
    if (!at_centre[p.record_class].insert(p.seqs.first).second) {
      ++doubled;
      return;
    }
    if (const auto s = stored[p.record_class].find(p.seqs.first); s != stored[p.record_class].end()) {
      slowest = std::max(slowest, b.t.now - s->second);
      stored[p.record_class].erase(s);
    }
  }
  void pump() {
    while (auto o = b.board.plan.next()) {
      const auto bytes = o->how == store::dispatch_plan::kind::check ? 24 : batch_bytes;
      if (!b.board.charge(*o, bytes, b.t))
        continue;
      const seq_range r{o->todo.first, std::min(o->todo.last, o->todo.first + 9)};
      b.board.plan.leased(*o, r, bytes, b.t.now);
      auto& p = pipes.at(o->link);
      ++p.batches;
      spend(p, bytes + bytes / 25 + 200);
      if (!p.there)
        continue;
      p.free = std::max(p.free, b.t.now) + link::ticks(link::seconds(static_cast<double>(bytes) / p.rate));
      arrivals_.insert({p.free + p.delay, {o->link, o->record_class, r}});
    }
    b.collect();
  }
  static void spend(pipe& p, std::uint64_t bytes) {
    p.wire += bytes;
    p.unsaid += bytes;
  }

  mail arrivals_;
  mail answers_;
  std::chrono::milliseconds elapsed_{0};
};

} // namespace route_board_test
