// What the link cores do on virtual time, against their targets. Every run is decided by its seed, so the figures
// are the same each time and are asserted. Run with -s to see them all, or "[link-figures]" for the tables alone.

#include "tests/unit/link_world.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <string>

using namespace holdfast::link;
using namespace holdfast::link::test;
using namespace std::chrono_literals;

namespace {

std::vector<profile> profiles() { return {fibre(), five_g(), satellite()}; }

struct found {
  std::vector<clock::duration> suspect;
  std::vector<clock::duration> down;
};

std::string figures(const std::vector<clock::duration>& v) {
  return fmt::format("p50 {:5.0f} p99 {:5.0f} max {:5.0f}", quantile(v, 0.5), quantile(v, 0.99), quantile(v, 1));
}

/// Cuts at random phases of a link that carries 1,000 records per second. Each cut happens to a copy of the world.
found cut_at_random(const profile& p, bool forward, bool backward, unsigned phases) {
  found f;
  world base(p, 7);
  base.start_sending();
  base.run(base.now + 20s);
  for (unsigned i = 0; i < phases; ++i) {
    base.run(base.now + uniform(base.dice_, 10ms, 70ms));
    auto w = base;
    const auto cut = w.now;
    if (forward)
      w.up.cut = cut;
    if (backward)
      w.down.cut = cut;
    w.run(cut + 30s, true);
    w.stop_sending();  // suspicion moves the traffic
    w.run(cut + 30s, true);
    REQUIRE(w.when(health::suspect, cut) != never);
    REQUIRE(w.when(health::down, cut) != never);
    f.suspect.push_back(w.when(health::suspect, cut) - cut);
    f.down.push_back(w.when(health::down, cut) - cut);
  }
  return f;
}

} // namespace

TEST_CASE("a black hole is suspected within the failover time of its link", "[link][link-figures]") {
  struct row { const char* name; bool forward; bool backward; };
  const row rows[] = {{"both", true, true}, {"there", true, false}, {"back", false, true}};
  const double goal[] = {100, 500, 2000};   // detection, p99
  const double limit[] = {200, 500, 1000};  // M7
  std::string table = "black hole under 1,000 records/s, 1000 phases: ms to suspicion (traffic moves), to proof\n";
  int i = 0;
  for (const auto& p : profiles()) {
    for (const auto& r : rows) {
      const auto f = cut_at_random(p, r.forward, r.backward, 1000 / share);
      table += fmt::format("{:<10}{:<6} suspect {}   down {}\n", p.name, r.name, figures(f.suspect), figures(f.down));
      CHECK(quantile(f.suspect, 0.99) <= std::min(goal[i], limit[i]));
      CHECK(quantile(f.suspect, 1) <= limit[i]);
    }
    ++i;
  }
  WARN(table);
}

namespace {

/// The round trips of an hour of `p`, in milliseconds: p50 and p99.9.
std::pair<double, double> round_trips(const profile& p) {
  dice r(3);
  auto now = time_point{} + 1h;
  standstills stalls(path_of(p), now);
  path up(path_of(p), now);
  path down(path_of(p), now);
  std::vector<clock::duration> all;
  for (const auto end = now + 1h; now < end; now += 10ms)
    all.push_back(down.arrival(up.arrival(now, 200, stalls, now, r), 100, stalls, now, r) - now);
  return {quantile(all, 0.5), quantile(all, 0.999)};
}

/// A link under load for 30 days. Nothing happens between two standstills of the path that has not happened a second
/// before, so only twice the failover time around each of them is simulated; records come 6 times
/// within the shortest wait, for what stands still is seen by any of them.
world thirty_days(const profile& p, std::uint64_t seed, clock::duration interval, std::uint64_t& stalls) {
  world w(p, seed);
  const auto kind = path_of(p);
  w.stalls.by_themselves = false;
  w.interval = interval;
  w.start_sending();
  w.run(w.now + 30s);
  std::exponential_distribution<double> wait(1 / seconds(kind.stall_every).count());
  const clock::duration around = 2 * p.monitor.failover + 3 * kind.delay;
  for (const auto end = w.now + 30 * 24h / share; w.now < end;) {
    const auto pause = kind.stall_most + 1s + ticks(seconds(wait(w.dice_)));
    if (pause > 2 * around + 4s) {
      w.run(w.now + around);
      w.stop_sending();
      w.run(w.now + 2s);
      w.now += pause - 2s - 2 * around;
      w.m.tick(w.now);
      w.start_sending();
      w.run(w.now + around);
    } else {
      w.run(w.now + pause);
    }
    w.stalls.add(w.now + 3 * kind.delay, w.dice_);  // what is on its way knows nothing of it
    ++stalls;
  }
  return w;
}

} // namespace

TEST_CASE("a clean link under load for 30 days gives at most one false switch", "[link][link-figures]") {
  std::string table = "30 days of a clean link under load\n";
  for (const auto& p : profiles()) {
    const auto [median, high] = round_trips(p);
    std::uint64_t stalls = 0;
    const auto w = thirty_days(p, 11, p.monitor.floor / 6, stalls);
    table += fmt::format("{:<10} round trip p50 {:5.1f} p99.9 {:5.1f} ms, {} standstills, {} records, {} early and "
                         "idle probes: {} false suspicions\n", p.name, median, high, stalls, w.items, w.m.probes(),
                         w.m.false_suspicions());
    CHECK(w.m.false_suspicions() <= 1);
    CHECK(w.when(health::down, {}) == never);
  }
  WARN(table);
}

TEST_CASE("an idle link of 30 days is probed within its budget and never suspected", "[link][link-figures]") {
  std::string table = "30 days of a clean idle link: probes, bytes per day\n";
  for (const auto& p : profiles()) {
    world w(p, 5);
    w.run(w.now + 30 * 24h / share);
    const auto per_day = w.m.probes() * p.monitor.probe_bytes * share / 30;
    table += fmt::format("{:<10} {:8} probes, {:9} bytes per day, {} false suspicions\n", p.name, w.m.probes(), per_day,
                         w.m.false_suspicions());
    CHECK(w.m.false_suspicions() <= 1);
    CHECK(w.when(health::down, {}) == never);
    CHECK((p.monitor.probe_budget == 0 || per_day <= p.monitor.probe_budget));
  }
  WARN(table);
}

TEST_CASE("a black hole of an idle link is suspected after one interval of its probes", "[link][link-figures]") {
  const double goal[] = {1500, 2000, 8000};
  std::string table = "black hole of an idle link, 1000 phases: ms to suspicion\n";
  int i = 0;
  for (const auto& p : profiles()) {
    world base(p, 3);
    base.run(base.now + 60s);
    std::vector<clock::duration> found;
    for (unsigned phase = 0; phase < 1000 / share; ++phase) {
      base.run(base.now + uniform(base.dice_, 1s, 7s));
      auto w = base;
      w.up.cut = w.down.cut = w.now;
      w.run(w.now + 30s, true);
      found.push_back(w.when(health::suspect, base.now) - base.now);
    }
    table += fmt::format("{:<10} {}\n", p.name, figures(found));
    CHECK(quantile(found, 0.99) <= goal[i++]);
  }
  WARN(table);
}

TEST_CASE("two days of a clean link, without anything left out, are not called a brownout", "[link][link-figures]") {
  for (const auto& p : profiles()) {
    world w(p, 17);
    w.interval = 50ms;
    w.loss = 0.0001;
    w.start_sending();
    w.run(w.now + 2 * 24h / share);
    INFO(p.name << ": " << w.changes.back().cause);
    CHECK(w.changes.size() == 1);
  }
}

TEST_CASE("a process that does not get to run blames nobody but itself", "[link][link-figures]") {
  for (const auto& p : profiles()) {
    world w(p, 23);
    w.start_sending();
    w.run(w.now + 5s);
    std::uint64_t naps = 0;
    for (const auto end = w.now + 10min; w.now < end; ++naps) {
      w.sleep(uniform(w.dice_, 10ms, 2 * p.monitor.failover));
      w.run(w.now + 4 * p.monitor.failover);
    }
    INFO(p.name << ": " << naps << " naps, " << w.m.excuses() << " excuses");
    CHECK(w.m.excuses() > 0);
    CHECK(w.m.false_suspicions() <= naps / 20);
  }
}

TEST_CASE("5 % loss and a tripled round trip are found in time", "[link][link-figures]") {
  const double goal[] = {3000, 8000, 45000};
  std::string table = "brownout, 200 phases, 200 batches/s: ms to degraded\n";
  int i = 0;
  for (const auto& p : profiles()) {
    for (const bool loss : {true, false}) {
      world base(p, 9);
      base.interval = 5ms;
      base.loss = 0.0005;
      base.start_sending();
      base.run(base.now + 5min);
      REQUIRE(base.m.health() == health::up);
      std::vector<clock::duration> found;
      int suspected = 0;
      for (unsigned phase = 0; phase < 200 / share; ++phase) {
        base.run(base.now + uniform(base.dice_, 10ms, 2s));
        auto w = base;
        w.loss = loss ? 0.05 : base.loss;
        w.up.slower = w.down.slower = loss ? 1 : 3;
        w.run(w.now + 120s, true);
        suspected += w.when(health::suspect, base.now) != never ? 1 : 0;
        while (w.when(health::degraded, base.now) == never && w.run(base.now + 120s, true)) {
        }
        found.push_back(w.when(health::degraded, base.now) - base.now);
      }
      table += fmt::format("{:<10} {:<14} {}   suspected before: {}\n", p.name, loss ? "5 % loss" : "round trip x3",
                           figures(found), suspected);
      CHECK(quantile(found, 0.99) <= goal[i]);
    }
    ++i;
  }
  WARN(table);
}

TEST_CASE("a link kept full by a backlog is not suspected, and its death is still seen", "[link][link-figures]") {
  struct load { std::uint64_t batch; std::uint64_t window; };
  std::string table = "backlog, an hour with the window always full: ms from a cut to suspicion\n";
  for (const auto& p : profiles()) {
    for (const auto& l : {load{16'384, 262'144}, load{262'144, 8'388'608}}) {
      world w(p, 31);
      w.bytes = l.batch;
      std::uint64_t id = 0;
      const auto fill = [&] {
        while (w.m.in_flight() + l.batch <= l.window)
          w.send(++id, true);
      };
      w.acknowledged = [&](std::uint64_t) { fill(); };
      fill();
      w.run(w.now + 60min / share);
      const auto suspicions = w.m.false_suspicions();
      const auto cut = w.now;
      w.up.cut = w.down.cut = cut;
      w.run(cut + 10min, true);
      const auto found = w.when(health::suspect, cut) - cut;
      table += fmt::format("{:<10} batches of {:6} B, window {:7} B: {:6.0f}   {} false suspicions, {:5.2f} MB/s "
                           "known\n",
                           p.name, l.batch, l.window, quantile({found}, 1), suspicions, w.m.rate() / 1e6);
      CHECK(suspicions <= 3);
      CHECK(found <= p.monitor.failover + 2 * seconds(static_cast<double>(l.batch) / path_of(p).rate));
    }
  }
  WARN(table);
}
