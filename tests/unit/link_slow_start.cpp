// Traffic that moves onto an idle link: TCP lets ten segments go and waits a round trip, so that the first seconds look
// slow. Run with -s, or "[link-figures]" for the tables.

#include "tests/unit/link_world.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <string>

using namespace holdfast::link;
using namespace holdfast::link::test;
using namespace std::chrono_literals;

namespace {

/// An idle link of p that takes over 1,000 records/s of so many bytes, for a while, again and again.
world took_over(const profile& p, std::uint64_t bytes, unsigned times) {
  world w(p, 41);
  w.slow_start = true;
  w.bytes = bytes;
  for (unsigned i = 0; i < times; ++i) {
    w.run(w.now + uniform(w.dice_, 60s, 62s));
    w.start_sending();
    w.run(w.now + 20s);
    w.stop_sending();
  }
  return w;
}

} // namespace

TEST_CASE("the window of a connection opens with what is acknowledged", "[link]") {
  send_window w;
  CHECK(w.rounds(14'000) == 0);
  CHECK(w.rounds(14'001) == 1);
  CHECK(w.rounds(42'000) == 1);
  CHECK(w.rounds(42'001) == 2);
  w.sent(20'000);
  w.delivered(1'000'000);  // little at a time: it was never filled
  CHECK(w.rounds(40'000) == 0);
  CHECK(w.rounds(40'001) == 1);
  w.restart();
  CHECK(w.rounds(14'001) == 1);
}

TEST_CASE("traffic that moves onto an idle link is not suspected for TCP's slow start", "[link][link-figures]") {
  std::string table = "an idle link takes over 1,000 records/s, 100 times\n";
  for (const auto& p : {fibre(), five_g(), satellite()})
    for (const std::uint64_t bytes : {100, 200}) {
      const auto w = took_over(p, bytes, 100 / share);
      table += fmt::format("{:<10} {} B: {} false suspicions, {} changes\n", p.name, bytes, w.m.false_suspicions(),
                           w.changes.size());
      CHECK(w.m.false_suspicions() == 0);
      CHECK(w.changes.size() == 1);  // "session stands", and no brownout
    }
  WARN(table);
}

TEST_CASE("a black hole in the first seconds on an idle link is found in time", "[link][link-figures]") {
  const double goal[] = {100, 500, 2000};  // detection, p99
  std::string table = "black hole 0 to 4 s after the takeover, 300 phases: ms to suspicion\n";
  int i = 0;
  for (const auto& p : {fibre(), five_g(), satellite()}) {
    auto base = took_over(p, 100, 5);
    std::vector<clock::duration> found;
    for (unsigned phase = 0; phase < 300 / share; ++phase) {
      base.run(base.now + 60s);
      auto w = base;
      w.start_sending();
      w.run(w.now + uniform(base.dice_, 10ms, 4s));
      w.up.cut = w.down.cut = w.now;
      w.run(w.now + 30s, true);
      found.push_back(w.when(health::suspect, w.up.cut) - w.up.cut);
    }
    table += fmt::format("{:<10} p50 {:5.0f} p99 {:5.0f} max {:5.0f}\n", p.name, quantile(found, 0.5),
                         quantile(found, 0.99), quantile(found, 1));
    CHECK(quantile(found, 0.99) <= goal[i++]);
  }
  WARN(table);
}
