#include "tests/unit/link_monitor_bench.hpp"

#include <catch2/catch.hpp>

using namespace monitor_test;

TEST_CASE("the round trip is smoothed as TCP does, with one sample per round trip", "[link]") {
  round_trip r;
  const auto t = time_point{} + 1h;
  r.sample(t, t + 100ms);
  CHECK(r.smoothed() == 100ms);
  CHECK(r.variation() == 50ms);
  r.sample(t + 50ms, t + 250ms);  // sent before the last sample was taken
  CHECK(r.smoothed() == 100ms);
  r.sample(t + 100ms, t + 280ms);
  CHECK(seconds(r.smoothed()).count() == Approx(0.110));
  CHECK(seconds(r.variation()).count() == Approx(0.0575));
}

TEST_CASE("a slow sample counts only where the link was busy", "[link]") {
  delivery_rate r(1000);
  r.sample(5000, 1s, false);
  CHECK(r.rate() == 5000);
  r.sample(100, 1s, false);
  CHECK(r.rate() == 5000);
  r.sample(1000, 1s, true);
  CHECK(r.rate() == 1000);  // the first true measurement replaces the guess
  r.sample(2000, 1s, true);
  r.sample(1000, 1s, true);
  CHECK(r.rate() == 1750);
}

TEST_CASE("silence after data: an early probe, suspicion, a burst, down", "[link]") {
  bench b;
  b.talk(50);
  REQUIRE(b.probes.empty());
  b.send();
  b.pass(32ms);
  CHECK(b.probes.empty());
  b.pass(2ms);
  CHECK(b.probes.size() == 1);
  CHECK(b.m.health() == health::up);
  b.pass(27ms);
  CHECK(b.m.health() == health::suspect);
  b.pass(25ms);
  CHECK(b.probes.size() == 4);
  b.pass(35ms);
  CHECK(b.m.health() == health::down);
  CHECK(b.changes == std::vector<std::string>{"up: session stands", "suspect: no answer for 60 ms",
                                              "down: silent for 110 ms"});
}

TEST_CASE("an answer to any probe of the burst ends the suspicion, and makes the monitor more patient", "[link]") {
  bench b;
  b.talk(50);
  const auto late = b.send();
  const auto first = b.until(health::suspect);
  b.pass(5ms);
  b.m.probe_answered(b.probes.back(), b.now);
  b.act();
  CHECK(b.m.health() == health::up);
  CHECK(b.changes.back() == "up: answers again after 5 ms");
  CHECK(b.m.false_suspicions() == 1);
  b.acknowledge(late);
  b.talk(20);
  b.send();
  const auto second = b.until(health::suspect);
  CHECK(second > first * 7 / 5);
  CHECK(second < first * 8 / 5);
}

TEST_CASE("patience has a limit, and is forgotten over hours", "[link]") {
  bench b;
  for (int i = 0; i < 10; ++i) {
    b.talk(20);
    b.send();
    REQUIRE(b.until(health::suspect) < 200ms);
    b.m.probe_answered(b.probes.back(), b.now);
    b.act();
    b.m.acknowledged_to(b.id, b.now);
  }
  for (int i = 0; i < 10 * 4000; ++i) {
    b.pass(900ms);
    b.talk(1);
  }
  b.talk(200);
  b.send();
  CHECK(b.until(health::suspect) < 70ms);
}

TEST_CASE("a collector that is slow to commit is not a dead link: its path answers", "[link]") {
  bench b;
  b.talk(50);
  const auto held = b.send();
  b.answer_probes(900ms);  // its disk takes so long
  CHECK(b.m.health() == health::up);
  CAPTURE(b.changes);
  CHECK(b.changes.size() == 1);
  CHECK(b.probes.size() < 60);
  b.acknowledge(held);
  CHECK(b.m.health() == health::up);
}

TEST_CASE("data that are not acknowledged though probes are answered degrade the link after a while", "[link]") {
  bench b;
  b.talk(50);
  const auto held = b.send();
  b.answer_probes(6s);
  CHECK(b.m.health() == health::degraded);
  CHECK(b.changes.back().find("degraded: data are not acknowledged for 5") == 0);
  const auto asked = b.probes.size();
  b.answer_probes(10s);
  CHECK(b.probes.size() - asked <= 50);  // it asks slowly now
  b.acknowledge(held);
  CHECK(b.changes.back() == "up: works well again");
}

TEST_CASE("a degraded link says why, also after a suspicion or a new session", "[link]") {
  bench b;
  for (std::uint64_t i = 1; i < 60; ++i) {
    b.m.tcp({.segments = i * 100, .retransmits = i * 10}, b.now);
    b.talk(20);
  }
  REQUIRE(b.m.health() == health::degraded);
  const auto says_why = [&] { return b.changes.back().find("% of packets lost") != std::string::npos; };
  REQUIRE(says_why());
  b.send();
  b.until(health::suspect);
  b.m.probe_answered(b.probes.back(), b.now);
  b.act();
  CHECK(b.m.health() == health::degraded);
  CHECK(says_why());
  b.m.closed("connection reset", b.now);
  b.m.opened(b.now);
  b.act();
  CHECK(b.m.health() == health::degraded);
  CHECK(says_why());
}

TEST_CASE("an idle link is probed slowly, and a dead one found after one interval", "[link]") {
  bench b;
  for (int i = 0; i < 10; ++i) {
    b.pass(1s);
    REQUIRE(b.probes.size() == static_cast<std::size_t>(i + 1));
    b.pass(5ms);
    b.m.probe_answered(b.probes.back(), b.now);
  }
  CHECK(b.until(health::suspect) < 1100ms);
}

TEST_CASE("a metered link keeps its budget of probes, idle or with a collector that hangs", "[link]") {
  for (const auto& p : {five_g(), satellite()}) {
    bench b(p);
    const clock::duration trip = p.name == "5g" ? 40ms : 600ms;
    for (const auto end = b.now + 24h; b.now < end;) {
      const auto asked = b.probes.size();
      b.pass(trip);
      if (b.probes.size() > asked)
        b.m.probe_answered(b.probes.back(), b.now);
    }
    const auto bytes = b.probes.size() * p.monitor.probe_bytes;
    INFO(p.name << ": " << b.probes.size() << " probes");
    CHECK(bytes <= p.monitor.probe_budget);
    CHECK(bytes > p.monitor.probe_budget * 8 / 10);
  }
}

TEST_CASE("who was not awake does not judge, but not for ever", "[link]") {
  bench b;
  b.talk(50);
  const auto late = b.send();
  b.now += 500ms;  // the process did not run
  b.m.tick(b.now);
  CHECK(b.m.health() == health::up);
  CHECK(b.m.excuses() == 1);
  b.acknowledge(late);  // it was there, unread
  CHECK(b.changes.size() == 1);
  b.talk(10);
  b.send();
  for (int i = 0; i < 4; ++i)
    b.m.tick(b.now += 500ms);
  CHECK(b.m.health() != health::up);
}

TEST_CASE("a path longer than its failover time is not called dead for that", "[link]") {
  bench b;
  b.talk(20, 300ms);
  b.answer_probes(60s, 300ms);
  CHECK(b.changes.size() == 1);
  b.send();
  CHECK(b.until(health::suspect) < 500ms);
}

TEST_CASE("before anything was measured the first wait counts", "[link]") {
  bench b;
  b.send(100);
  CHECK(b.until(health::suspect) >= 1s);
}

TEST_CASE("acknowledgements in any order, twice and of unknown data keep the account", "[link]") {
  bench b;
  for (int i = 0; i < 6; ++i)
    b.send(100);
  b.acknowledge(3);
  b.acknowledge(3);
  b.acknowledge(99);
  CHECK(b.m.in_flight() == 500);
  b.m.acknowledged_to(4, b.now);
  CHECK(b.m.in_flight() == 200);
  b.acknowledge(6);
  b.acknowledge(5);
  CHECK(b.m.in_flight() == 0);
  b.m.acknowledged_to(50, b.now);
  CHECK(b.m.proofs() == 4);
}

TEST_CASE("the way back alone is heard, proves nothing, and is named in the cause", "[link]") {
  bench b;
  b.talk(50);
  b.send();
  for (int i = 0; i < 30; ++i) {
    b.pass(3ms);
    b.m.heard(b.now);
  }
  CHECK(b.changes.at(1) == "suspect: no answer for 60 ms, though the other end is heard");
}
