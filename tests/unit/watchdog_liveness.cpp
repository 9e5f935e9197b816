#include "services/watchdog/liveness.hpp"

#include <catch2/catch.hpp>

using namespace holdfast;
using namespace holdfast::watchdog;
using namespace std::chrono_literals;

namespace {

using effect = liveness::effect;

/// Two services, limit 2 s, start limit 10 s, a tick every 100 ms.
struct bench {
  config::watchdog limits;
  liveness live;
  time_point now = time_point{} + 1h;

  explicit bench(config::watchdog w = {}) : limits(w), live(w, 2) { live.tick(now); }

  effect beat(std::size_t i, long pid, std::uint64_t incarnation = 1, std::vector<loop_age> loops = {}) {
    return live.beat(i, {.pid = pid, .incarnation = incarnation, .loops = std::move(loops)}, now);
  }

  /// Ticks for so long; service 0 beats every 200 ms when asked. The first finding ends it.
  std::vector<liveness::finding> pass(milliseconds d, long beating_pid = 0) {
    for (milliseconds t{0}; t < d; t += 100ms) {
      now += 100ms;
      if (beating_pid != 0 && t % 200ms == 0ms)
        beat(0, beating_pid);
      if (auto found = live.tick(now); !found.empty())
        return found;
    }
    return {};
  }
};

std::vector<loop_age> loops(milliseconds bus, milliseconds writer) {
  return {{"bus", bus, 2000ms}, {"writer", writer, 1000ms}};
}

} // namespace

TEST_CASE("a process that beats is never found hung", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  CHECK(b.pass(10min, 11).empty());
  CHECK(b.live.excuses() == 0);
}

TEST_CASE("silence for longer than the limit is a hang, told once", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  CHECK(b.beat(0, 11) == effect::first);
  CHECK(b.beat(0, 11) == effect::ordinary);
  CHECK(b.pass(2000ms).empty());
  const auto found = b.pass(100ms);
  REQUIRE(found.size() == 1);
  CHECK(found[0].service == 0);
  CHECK(found[0].reason == "no heartbeat for 2100 ms (limit 2000 ms)");
  CHECK(b.pass(10s).empty());
}

TEST_CASE("before the first heartbeat the start limit counts", "[watchdog][liveness]") {
  bench b;
  b.live.watch(1, 11, b.now, b.now);
  CHECK(b.pass(10s).empty());
  const auto found = b.pass(100ms);
  REQUIRE(found.size() == 1);
  CHECK(found[0].service == 1);
  CHECK(found[0].reason == "no first heartbeat (limit 10000 ms from its start)");
}

TEST_CASE("an adopted process that has long been up gets the limit, a young one the rest of its start",
          "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now - 1h, b.now);
  b.live.watch(1, 12, b.now - 4s, b.now);
  CHECK(b.pass(2000ms).empty());
  auto found = b.pass(100ms);
  REQUIRE(found.size() == 1);
  CHECK(found[0].service == 0);
  CHECK(b.pass(3900ms).empty());
  found = b.pass(100ms);
  REQUIRE(found.size() == 1);
  CHECK(found[0].service == 1);
}

TEST_CASE("a loop over its own limit is a hang, and the finding names it", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  b.beat(0, 11, 1, loops(10ms, 1000ms));
  CHECK(b.pass(100ms).empty());
  b.beat(0, 11, 1, loops(10ms, 1001ms));
  const auto found = b.pass(100ms);
  REQUIRE(found.size() == 1);
  CHECK(found[0].reason == "loop writer made no progress for 1001 ms (limit 1000 ms)");
}

TEST_CASE("a loop that turns again before the next look is none", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  b.beat(0, 11, 1, loops(10ms, 1500ms));
  b.beat(0, 11, 1, loops(10ms, 5ms));
  CHECK(b.pass(100ms).empty());
}

TEST_CASE("late heartbeats of a predecessor do not count", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  b.beat(0, 11, 7);
  b.live.forget(0);
  CHECK(b.beat(0, 11, 7) == effect::ignored);
  SECTION("another pid") {
    b.live.watch(0, 12, b.now, b.now);
    CHECK(b.beat(0, 11, 7, loops(1ms, 9000ms)) == effect::ignored);
    CHECK(b.beat(0, 12, 8) == effect::first);
  }
  SECTION("the same pid, by chance") {
    b.live.watch(0, 11, b.now, b.now);
    CHECK(b.beat(0, 11, 7, loops(1ms, 9000ms)) == effect::ignored);
    CHECK(b.beat(0, 11, 8) == effect::first);
    CHECK(b.beat(0, 11, 7) == effect::ignored);
  }
  CHECK(b.pass(100ms).empty());
}

TEST_CASE("a predecessor that never beat leaves nothing behind", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  b.beat(0, 11, 7);
  b.live.forget(0);
  b.live.watch(0, 12, b.now, b.now);
  b.live.forget(0);
  b.live.watch(0, 13, b.now, b.now);
  CHECK(b.beat(0, 13, 7) == effect::ignored);
  CHECK(b.beat(0, 13, 9) == effect::first);
}

TEST_CASE("nobody is judged who is not watched", "[watchdog][liveness]") {
  bench b;
  CHECK(b.pass(1min).empty());
  CHECK(b.beat(0, 11) == effect::ignored);
  b.live.watch(0, 11, b.now, b.now);
  b.beat(0, 11);
  b.live.forget(0);
  CHECK(b.pass(1min).empty());
}

TEST_CASE("everybody gets a fresh limit when the watchdog itself slept", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  b.live.watch(1, 12, b.now, b.now);
  b.beat(0, 11, 1);
  b.beat(1, 12, 2);
  b.now += 1h;
  SECTION("the tick notices") {
    CHECK(b.live.tick(b.now).empty());
    CHECK(b.pass(1900ms).empty());
    CHECK(b.pass(100ms).size() == 2);
    CHECK(b.live.excuses() == 1);
  }
  SECTION("a heartbeat comes first, with ages from before the sleep") {
    CHECK(b.beat(0, 11, 1, loops(1ms, 3600s)) == effect::ordinary);
    CHECK(b.live.tick(b.now).empty());
    CHECK(b.beat(0, 11, 1, loops(1ms, 3600s)) == effect::ordinary);
    CHECK(b.pass(1500ms).empty());
    b.beat(0, 11, 1, loops(1ms, 3ms));
    b.beat(1, 12, 2, loops(1ms, 3ms));
    CHECK(b.pass(1500ms).empty());
    CHECK(b.live.excuses() == 1);
  }
  SECTION("who still hangs after it is found") {
    b.live.tick(b.now);
    const auto found = b.pass(5s, 11);
    REQUIRE(found.size() == 1);
    CHECK(found[0].service == 1);
  }
}

TEST_CASE("a tick that is late by less than half the limit excuses nobody", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  b.beat(0, 11);
  b.now += 1000ms;
  CHECK(b.live.tick(b.now).empty());
  b.now += 1000ms;
  CHECK(b.live.tick(b.now).empty());
  b.now += 1ms;
  CHECK(b.live.tick(b.now).size() == 1);
  CHECK(b.live.excuses() == 0);
}

TEST_CASE("a long limit does not let loops be judged by a sleep of the watchdog's own", "[watchdog][liveness]") {
  config::watchdog patient;
  patient.limit = 10s;
  bench b(patient);
  b.live.watch(0, 11, b.now, b.now);
  b.beat(0, 11);
  b.now += 2700ms;  // all stood still, and the first heartbeat after it tells how long
  b.beat(0, 11, 1, loops(100ms, 2700ms));
  CHECK(b.live.tick(b.now).empty());
  CHECK(b.live.excuses() == 1);
}

TEST_CASE("a short limit does not make ordinary ticks late", "[watchdog][liveness]") {
  config::watchdog w;
  w.limit = 100ms;
  bench b(w);
  b.live.watch(0, 11, b.now, b.now);
  b.beat(0, 11);
  CHECK(b.pass(100ms).empty());
  CHECK(b.pass(100ms).size() == 1);
}

TEST_CASE("the next look is due just after the earliest limit", "[watchdog][liveness]") {
  bench b;
  CHECK_FALSE(b.live.next_due());
  b.live.watch(0, 11, b.now, b.now);
  CHECK(b.live.next_due() == b.now + 10s + 1ms);
  b.live.watch(1, 12, b.now, b.now);
  b.beat(1, 12);
  const auto due = b.now + 2s + 1ms;
  CHECK(b.live.next_due() == due);
  b.pass(2000ms);
  b.now = due;
  CHECK(b.live.tick(b.now).size() == 1);
  CHECK(b.live.next_due() == b.now + 8s);  // who was found hung is not awaited
  b.live.excuse(b.now + 7s);
  CHECK(b.live.next_due() == b.now + 9s);
}

TEST_CASE("excuse gives a fresh limit too", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  b.beat(0, 11, 1, loops(1ms, 5000ms));
  b.live.excuse(b.now);
  CHECK(b.pass(1900ms).empty());
  CHECK(b.live.excuses() == 1);
}

TEST_CASE("an observer accepts any process and tells lives apart by incarnation", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 0, b.now, b.now);
  CHECK_FALSE(b.live.all_seen());
  CHECK(b.beat(0, 5, 1) == effect::first);
  CHECK(b.beat(0, 5, 1) == effect::ordinary);
  CHECK(b.pass(2100ms).size() == 1);
  SECTION("it comes back") {
    CHECK(b.beat(0, 5, 1) == effect::recovered);
    CHECK(b.beat(0, 5, 1) == effect::ordinary);
    CHECK(b.pass(2100ms).size() == 1);
  }
  SECTION("a new life") {
    CHECK(b.beat(0, 5, 2) == effect::first);
    CHECK(b.beat(0, 5, 1) == effect::ignored);
    CHECK(b.pass(2100ms).size() == 1);
  }
  SECTION("a heartbeat with a stuck loop is no recovery") {
    CHECK(b.beat(0, 5, 1, loops(1ms, 5000ms)) == effect::ordinary);
    CHECK(b.pass(100ms).empty());
    CHECK(b.beat(0, 5, 1, loops(1ms, 5ms)) == effect::recovered);
  }
}

TEST_CASE("all are seen once each has beaten in its present life", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  b.live.watch(1, 12, b.now, b.now);
  b.beat(0, 11);
  CHECK_FALSE(b.live.all_seen());
  b.beat(1, 12);
  CHECK(b.live.all_seen());
  b.live.forget(1);
  CHECK_FALSE(b.live.all_seen());
}

TEST_CASE("a watchdog that is late again and again says so each time", "[watchdog][liveness]") {
  bench b;
  b.live.watch(0, 11, b.now, b.now);
  for (int i = 0; i < 20; ++i) {
    CHECK(b.live.tick(b.now).empty());
    b.now += 1200ms;  // before the fresh limit has passed
  }
  CHECK(b.live.excuses() >= 10);
}
