// What the kernel says of a link: TCP's progress and losses, carrier, route.

#include "tests/unit/link_monitor_bench.hpp"

#include <catch2/catch.hpp>

using namespace monitor_test;

TEST_CASE("a slow link with a full window is alive while acknowledgements progress", "[link]") {
  bench b;
  b.talk(50);
  std::vector<std::uint64_t> window;
  for (int i = 0; i < 64; ++i)
    window.push_back(b.send(64 * 1024, true));  // 4 MB on a link that turns out to carry 100 kB/s
  int suspicions = 0;
  for (const auto i : window) {
    b.pass(640ms);
    suspicions += b.m.health() == health::up ? 0 : 1;
    b.acknowledge(i);
  }
  b.m.probe_answered(b.probes.back(), b.now);  // they were queued behind
  CHECK(suspicions <= 3);  // until it has measured
  CHECK(b.m.rate() == Approx(102400).epsilon(0.2));
  CHECK(b.m.in_flight() == 0);
  CHECK_FALSE(b.m.brownout().degraded());
  for (int i = 0; i < 64; ++i)
    b.send(64 * 1024, true);
  b.pass(630ms);
  CAPTURE(b.m.rate(), b.changes);
  CHECK(b.m.health() == health::up);
  CHECK(b.until(health::suspect) < 1s);  // and when it does die, that is seen
}

TEST_CASE("the kernel's progress postpones a suspicion once, and a death while a queue of ours explains it", "[link]") {
  bench b;
  b.talk(50);
  b.send();
  b.m.sent(++b.id, 100'000, b.now);
  std::uint64_t acked = 0;
  const auto begin = b.now;
  while (b.now < begin + 400ms) {
    b.m.tcp({.bytes_acked = acked += 1000}, b.now);
    b.pass(5ms);
    if (b.now < begin + 100ms)
      CHECK(b.m.health() == health::up);
  }
  CHECK(b.m.health() == health::suspect);  // a modem may acknowledge for the other end
  CHECK(b.until(health::down) < 100ms);
}

TEST_CASE("a relay that takes everything and answers nothing is dead, however long new data go", "[link]") {
  bench b;
  b.talk(50);
  monitor::tcp_info kernel{.rtt = 5ms, .variation = 1ms};
  const auto begin = b.now;
  for (auto next = begin; b.m.health() != health::down && b.now < begin + 60s; b.pass(5ms)) {
    if (b.now >= next) {
      b.send();
      next += 50ms;
    }
    b.m.tcp(kernel, b.now);
    kernel.bytes_acked += b.now + 45ms == next ? 1100 : 0;
  }
  CHECK(b.m.health() == health::down);
  CHECK(b.now - begin < 600ms);
}

TEST_CASE("a congested slow link may be suspected, and is not called down while TCP makes progress", "[link]") {
  bench b;
  b.talk(50);
  for (int i = 0; i < 16; ++i)
    b.send(64 * 1024);  // 32 s at 256 kbit/s
  monitor::tcp_info kernel{.rtt = 480ms, .variation = 80ms};
  const auto begin = b.now;
  std::uint64_t answered = 50;
  auto next = begin;
  while (answered < b.id) {
    const auto at = b.now - begin;
    if (b.now >= next && at % 3s < 2100ms) {  // else it waits for its timer: a packet was lost twice
      kernel.delivered += 1;
      kernel.bytes_acked += 1400;
      next = b.now + 45ms;
    }
    b.m.tcp(kernel, b.now);
    b.pass(5ms);
    if (at >= (answered - 49) * 2s)
      b.acknowledge(++answered);
  }
  const auto downs = std::count_if(b.changes.begin(), b.changes.end(),
                                   [](const std::string& c) { return c.find("down") == 0; });
  CAPTURE(b.changes);
  CHECK(downs == 0);
  CHECK(b.m.health() == health::up);
  b.send();
  CHECK(b.until(health::down) < 5s);  // and when nothing moves any more, that is seen
}

TEST_CASE("retransmissions of TCP are losses", "[link]") {
  bench b;
  for (std::uint64_t i = 1; i < 60; ++i) {
    b.m.tcp({.segments = i * 100, .retransmits = i * 10}, b.now);
    b.talk(20);
  }
  CHECK(b.m.health() == health::degraded);
  CHECK(b.changes.back().find("% of packets lost") != std::string::npos);
  b.m.tcp({.segments = 10, .retransmits = 0}, b.now);  // another connection
  for (std::uint64_t i = 1; i < 60; ++i) {
    b.m.tcp({.segments = 10 + i * 100}, b.now);
    b.talk(1);
  }
  CHECK(b.changes.back() == "up: works well again");
}

TEST_CASE("what the kernel knows acts at once", "[link]") {
  const auto [how, cause] = GENERATE(table<int, std::string>({{0, "down: carrier lost"}, {1, "down: route gone"},
                                                              {2, "down: connection reset"}}));
  bench b;
  b.talk(5);
  b.send();
  if (how == 0)
    b.m.carrier(false, b.now);
  else if (how == 1)
    b.m.route(false, b.now);
  else
    b.m.closed("connection reset", b.now);
  b.act();
  CHECK(b.changes.back() == cause);
  CHECK(b.m.in_flight() == 0);
  const auto asked = b.probes.size();
  b.pass(10s);
  CHECK(b.probes.size() == asked);  // nothing to ask with
  b.m.connecting(b.now);
  b.m.opened(b.now);
  b.act();
  CHECK(b.m.health() == health::up);
}

TEST_CASE("a carrier that returns is no proof, an answer over the old session is", "[link]") {
  bench b;
  b.talk(20);
  b.m.carrier(false, b.now);
  b.m.carrier(true, b.now);
  b.act();
  CHECK(b.m.health() == health::down);
  b.pass(1s);
  REQUIRE_FALSE(b.probes.empty());
  b.m.probe_answered(b.probes.back(), b.now);
  CHECK(b.m.health() == health::up);
}
