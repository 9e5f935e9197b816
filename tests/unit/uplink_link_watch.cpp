#include "services/uplink/link_watch.hpp"

#include "holdfast/v1/dispatch.pb.h"

#include <catch2/catch.hpp>

using namespace holdfast;
using namespace std::chrono_literals;
using link::health;
using uplink::link_watch;

namespace {

/// A watch of a fibre link, on a clock that the test turns.
struct bench {
  link_watch w{config::link{}};
  link::time_point now{1h};
  std::vector<std::uint64_t> pings;
  bool changed = false;
  int gave_up = 0;

  void take() {
    auto out = w.take(now);
    gave_up += out.give_up ? 1 : 0;
    pings.insert(pings.end(), out.pings.begin(), out.pings.end());
    changed = changed || out.changed;
  }
  bool told() {
    take();
    return std::exchange(changed, false);
  }
  /// Time passes; what is due is judged in between, as a timer would.
  void pass(link::clock::duration d) {
    const auto end = now + d;
    for (auto next = w.next_deadline(); next && *next <= end; next = w.next_deadline()) {
      now = std::max(now + 1us, *next);
      w.tick(now);
      take();
    }
    now = end;
  }
  void stand() {
    w.connecting(now);
    w.opened(now);
    take();
  }
  void send(std::uint64_t first, bool historical = false) { w.sent("telemetry", first, 1000, historical, now); }
  void answer(std::uint64_t first, std::uint64_t last) { w.answered("telemetry", first, last, now); }
  void trips(int n, link::clock::duration took) {
    for (int i = 0; i < n; ++i) {
      send(++number);
      pass(took);
      answer(number, number);
      take();
      pass(5ms);
    }
  }
  void fail(int n) {
    for (int i = 0; i < n; ++i) {
      REQUIRE(w.allow(now));
      w.connecting(now);
      w.closed("refused", true, now);
      take();
      now += 100ms;
    }
  }
  health is() const { return w.health(now); }

  std::uint64_t number = 1'000'000;
};

} // namespace

TEST_CASE("acknowledged ranges answer the batches that begin in them, of their class", "[uplink]") {
  bench b;
  b.stand();
  for (std::uint64_t first : {1, 11, 21, 31})
    b.send(first);
  b.w.sent("alarm", 15, 1000, false, b.now);
  b.pass(2ms);
  b.answer(1, 20);
  CHECK(b.w.monitor().in_flight() == 3000);
  CHECK(b.w.monitor().proofs() == 2);
  b.w.answered("alarm", 1, 100, b.now);
  CHECK(b.w.monitor().in_flight() == 2000);
  b.answer(31, 31);  // refused: that is an answer too
  CHECK(b.w.monitor().in_flight() == 1000);
  b.answer(1, 20);
  b.w.answered("unknown", 1, 100, b.now);
  CHECK(b.w.monitor().proofs() == 4);
}

TEST_CASE("a batch that goes twice is waited for once", "[uplink]") {
  bench b;
  b.stand();
  b.send(1);
  b.send(1);
  b.answer(1, 10);
  CHECK(b.w.monitor().in_flight() == 0);
}

TEST_CASE("a link whose answers cease is suspected and down; a late answer to a ping brings it back", "[uplink]") {
  bench b;
  b.stand();
  b.trips(50, 2ms);
  CHECK(b.is() == health::up);
  b.send(1);
  b.pass(2s);
  CHECK(b.told());
  CHECK(b.is() == health::down);
  CHECK(b.w.suspicions() == 1);
  CHECK(b.w.cause().find("silent for") == 0);
  b.send(1);  // its lease came back, and it is given to this link again
  CHECK(b.w.monitor().in_flight() == 1000);
  REQUIRE_FALSE(b.pings.empty());
  CHECK(b.w.pong(b.pings.back(), b.now));
  CHECK(b.told());
  CHECK(b.is() == health::up);
}

TEST_CASE("a session that stays down is given up once, after the link's failover time", "[uplink]") {
  const bool answers = GENERATE(false, true);
  bench b;
  b.stand();
  b.trips(50, 2ms);
  b.send(1);
  while (b.is() != health::down)
    b.pass(1ms);
  b.pass(199ms);
  CHECK(b.gave_up == 0);
  if (answers)
    b.w.pong(b.pings.back(), b.now);
  b.pass(2ms);
  CHECK(b.gave_up == (answers ? 0 : 1));
  b.pass(500ms);
  CHECK(b.gave_up == (answers ? 0 : 1));
  b.w.closed("silent", true, b.now);
  b.pass(1min);
  CHECK(b.gave_up == (answers ? 0 : 1));
  b.stand();
  b.w.kernel(false, true, b.now);  // without carrier there is nothing to wait for either
  b.take();
  b.pass(201ms);
  CHECK(b.gave_up == (answers ? 1 : 2));
}

TEST_CASE("the heartbeat's pings are not the monitor's", "[uplink]") {
  bench b;
  b.stand();
  b.pass(1001ms);  // idle: one probe a second
  REQUIRE(b.pings.size() == 1);
  CHECK(b.pings[0] > 1ULL << 62);
  CHECK_FALSE(b.w.pong(1, b.now));
  CHECK(b.w.monitor().proofs() == 0);
  CHECK(b.w.pong(b.pings[0], b.now));
  CHECK(b.w.monitor().proofs() == 1);
}

TEST_CASE("what waits in a backlog's queue says nothing about the link", "[uplink]") {
  const auto drained = [](bool historical) {
    bench b;
    b.stand();
    b.trips(500, 2ms);
    std::uint64_t first = 0;
    for (int n = 0; n < 200; ++n) {  // 20 batches always on their way, each 40 ms behind the others
      b.send(++first, historical);
      b.pass(2ms);
      if (first > 20)
        b.answer(first - 20, first - 20);
    }
    b.pass(0ms);
    for (int n = 0; n < 1500; ++n) {
      b.send(++first, historical);
      b.pass(2ms);
      b.answer(first - 20, first - 20);
    }
    return b.is();
  };
  CHECK(drained(true) == health::up);
  CHECK(drained(false) == health::degraded);
}

TEST_CASE("carrier and route act at once, and their return is asked for", "[uplink]") {
  bench b;
  b.stand();
  b.trips(10, 2ms);
  b.w.kernel(false, true, b.now);
  CHECK(b.told());
  CHECK(b.is() == health::down);
  CHECK(b.w.cause() == "carrier lost");
  b.pings.clear();
  b.pass(10s);
  CHECK(b.pings.empty());
  b.w.kernel(true, true, b.now);
  b.pass(1s);
  REQUIRE_FALSE(b.pings.empty());
  b.w.pong(b.pings.back(), b.now);
  CHECK(b.is() == health::up);
  b.w.kernel(true, false, b.now);
  CHECK(b.told());
  CHECK(b.w.cause() == "route gone");
}

TEST_CASE("attempts that fail open the breaker, and a session that carries closes it", "[uplink]") {
  bench b;
  b.fail(5);
  CHECK(b.told());
  CHECK(b.is() == health::circuit_open);
  CHECK_FALSE(b.w.allow(b.now));
  REQUIRE(b.w.next_attempt());
  b.now = *b.w.next_attempt();
  CHECK(b.told());
  CHECK(b.is() == health::down);
  CHECK(b.w.allow(b.now));
  b.stand();
  CHECK(b.w.breaker().state(b.now) == link::breaker_state::half_open);
  CHECK(b.is() == health::up);
  b.trips(2, 2ms);
  CHECK(b.w.breaker().state(b.now) == link::breaker_state::closed);
  CHECK(b.w.breaker().openings() == 1);
}

TEST_CASE("sessions that break, and attempts without carrier or for quick tries, are not the breaker's", "[uplink]") {
  bench b;
  for (int i = 0; i < 20; ++i) {
    b.stand();
    b.w.closed("broke", true, b.now);
    b.w.closed("quick", false, b.now);
  }
  b.w.kernel(false, true, b.now);
  for (int i = 0; i < 40; ++i)
    b.w.closed("no network", true, b.now);
  CHECK(b.w.breaker().state(b.now) == link::breaker_state::closed);
}

TEST_CASE("bytes on the wire are summed over connections", "[uplink]") {
  bench b;
  b.w.path({.wire_bytes = 500}, b.now);  // the handshake of an attempt that failed
  b.w.closed("refused", true, b.now);
  b.stand();
  b.w.path({.wire_bytes = 1000}, b.now);
  b.w.path({}, b.now);  // a socket that is gone tells nothing
  b.w.closed("broke", true, b.now);
  b.stand();
  b.w.path({.wire_bytes = 10}, b.now);
  CHECK(b.w.wire_bytes() == 1510);
}

TEST_CASE("a capped link is given the time that its cap takes, before anything was measured", "[uplink]") {
  using config::bytes;
  for (const auto& [cap, expected] : {std::pair{bytes{32'000}, health::up}, std::pair{bytes{}, health::down}}) {
    config::link slow;
    slow.bandwidth = cap;
    bench b{link_watch(slow)};
    b.stand();
    b.w.sent("telemetry", 1, 100'000, false, b.now);  // 3 s
    b.pass(2500ms);
    CHECK(b.is() == expected);
  }
}

TEST_CASE("segments that are sent again are lost ones", "[uplink]") {
  bench b;
  b.stand();
  net::path_figures p;
  for (int i = 0; i < 100; ++i) {
    p.data_segments += 20;
    p.retransmits += 1;
    b.now += 100ms;
    b.w.path(p, b.now);
  }
  CHECK(b.told());
  CHECK(b.is() == health::degraded);
}

TEST_CASE("the status says what is known", "[uplink]") {
  bench b;
  v1::LinkStatus s;
  b.w.describe(s, b.now);
  CHECK(s.health() == v1::LinkStatus::HEALTH_CONNECTING);
  CHECK(s.round_trip_micros() == 0);
  CHECK(s.breaker() == "closed");
  b.stand();
  b.trips(20, 2ms);
  b.w.path({.wire_bytes = 1000}, b.now);
  b.w.describe(s, b.now);
  CHECK(s.health() == v1::LinkStatus::HEALTH_UP);
  CHECK(s.cause() == "session stands");
  CHECK(s.round_trip_micros() == Approx(2000).margin(1));
  CHECK(s.proofs() == 20);
  CHECK(s.wire_bytes() == 1000);
  b.w.closed("broke", true, b.now);
  b.fail(4);  // of five attempts
  b.w.describe(s, b.now);
  CHECK(s.health() == v1::LinkStatus::HEALTH_CIRCUIT_OPEN);
  CHECK(s.breaker() == "open");
}
