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

TEST_CASE("while TCP sends a window at a time, its progress once in a round trip is enough, for a while", "[link]") {
  const bool limited = GENERATE(false, true);
  monitor m(satellite());
  auto now = time_point{} + 1h;
  m.opened(now);
  for (std::uint64_t id = 1; id <= 20; ++id) {
    m.sent(id, 100, now);
    m.acknowledged(id, now += 600ms);
  }
  m.sent(21, 100, now);
  const auto sent = now;
  monitor::tcp_info kernel{.rtt = 600ms, .variation = 10ms, .unsent = limited};
  m.tcp(kernel, now);
  for (auto at = sent + 1ms; m.health() == health::up && at < sent + 10s; at += 1ms) {
    if ((at - sent) % 600ms == 0ms) {
      kernel.bytes_acked += 1000;
      m.tcp(kernel, at);
    }
    m.tick(now = at);
  }
  const auto took = now - sent;
  CHECK(took >= (limited ? 1800ms : 900ms));
  CHECK(took <= (limited ? 1950ms : 1000ms));
  m.acknowledged(21, now);
  m.probe_answered(m.probes(), now);
  CHECK(m.false_suspicions() == 1);
  m.sent(22, 100, now += 300ms);
  const auto again = now;
  while (m.health() == health::up && now < again + 10s)
    m.tick(now += 1ms);
  CHECK(now - again >= (limited ? 900ms : 1150ms));  // it was our own queue: no more patience for that
  CHECK(now - again <= (limited ? 1000ms : 1250ms));
}

TEST_CASE("the window of a connection opens with what is acknowledged", "[link]") {
  send_window w;
  CHECK(w.rounds(1, 14'000) == 0);
  CHECK(w.rounds(1, 14'001) == 1);
  CHECK(w.rounds(1, 42'000) == 1);
  CHECK(w.rounds(1, 42'001) == 2);
  CHECK(w.rounds(10, 100) == 0);
  CHECK(w.rounds(11, 110) == 1);   // ten small segments; what waits is gathered ...
  CHECK(w.rounds(140, 14'000) == 1);  // ... in full ones
  w.sent(20, 2'000);
  for (int i = 0; i < 1000; ++i)
    w.delivered(100);  // few at a time: it was never filled
  CHECK(w.rounds(40, 4'000) == 0);
  CHECK(w.rounds(41, 4'100) == 1);
  w.restart();
  CHECK(w.rounds(11, 1'100) == 1);
}

TEST_CASE("traffic that moves onto an idle link is not suspected for TCP's slow start", "[link][link-figures]") {
  std::string table = "an idle link takes over 1,000 records/s, 100 times\n";
  for (const auto& p : {fibre(), five_g(), satellite()})
    for (const std::uint64_t bytes : {100, 200}) {
      const auto w = took_over(p, bytes, 100 / share);
      table += fmt::format("{:<10} {} B: {} false suspicions, {} changes\n", p.name, bytes, w.m.false_suspicions(),
                           w.changes.size());
      CHECK(w.m.false_suspicions() <= (bytes == 200 ? 1 : 0));  // 200 kB/s are most of what the satellite carries
      CHECK(w.changes.size() == 1 + 2 * w.m.false_suspicions());  // "session stands", and no brownout
    }
  WARN(table);
}

TEST_CASE("a black hole in the first seconds on an idle link is found in time", "[link][link-figures]") {
  const double goal[] = {100, 500, 2500};  // detection, p99; a satellite's first seconds are longer than its 2 s
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
