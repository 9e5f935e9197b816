#include "common/link/brownout.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

using namespace holdfast::link;
using namespace std::chrono_literals;

namespace {

const auto start = time_point{} + 1h;

/// Packets one by one, each lost with probability `loss`; how many until the test changes its mind, or `most`.
unsigned until_change(loss_test& t, double loss, unsigned most, std::mt19937_64& chance, time_point& now) {
  std::bernoulli_distribution lost(loss);
  const bool before = t.degraded();
  for (unsigned n = 1; n <= most; ++n) {
    t.packets(1, lost(chance) ? 1 : 0, now += 10ms);
    if (t.degraded() != before)
      return n;
  }
  return most;
}

/// A second of round trips, 1 ms apart.
void second_of(delay_test& t, milliseconds round_trip, time_point& now, int count = 1001) {
  for (int i = 0; i < count; ++i)
    t.sample(round_trip, now += 1ms);
}

} // namespace

TEST_CASE("5 % loss is found within some hundred packets, whatever the seed", "[link]") {
  std::vector<unsigned> needed;
  for (unsigned seed = 1; seed <= 500; ++seed) {
    std::mt19937_64 chance(seed);
    auto now = start;
    loss_test t({});
    until_change(t, 0.001, 1000, chance, now);
    REQUIRE_FALSE(t.degraded());
    needed.push_back(until_change(t, 0.05, 5000, chance, now));
    REQUIRE(t.degraded());
  }
  std::sort(needed.begin(), needed.end());
  INFO("p50 " << needed[250] << " p99 " << needed[495]);
  CHECK(needed[250] < 250);
  CHECK(needed[495] < 600);
}

TEST_CASE("the usual loss of a good link never degrades it", "[link]") {
  std::mt19937_64 chance(1);
  auto now = start;
  loss_test t({});
  CHECK(until_change(t, 0.001, 5'000'000, chance, now) == 5'000'000);
}

TEST_CASE("a link that loses 5 % stays degraded, and leaves soon after it stopped", "[link]") {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    std::mt19937_64 chance(seed);
    auto now = start;
    loss_test t({});
    until_change(t, 0.05, 5000, chance, now);
    REQUIRE(until_change(t, 0.05, 2000, chance, now) == 2000);
    CHECK(until_change(t, 0.001, 5000, chance, now) < 500);
  }
}

TEST_CASE("60 probes without a loss, and a minute, end a brownout by loss", "[link]") {
  for (const auto pace : {500ms, 2000ms}) {
    loss_test t({});
    auto now = start;
    for (int i = 0; i < 10; ++i)
      t.packets(20, 5, now += 200ms);
    REQUIRE(t.degraded());
    const auto since = now;
    int probes = 0;
    for (; t.degraded() && probes < 1000; ++probes)
      t.packets(1, 0, now += pace);
    CHECK(now - since == std::max<clock::duration>(60s, 60 * pace));
  }
}

TEST_CASE("a link that goes on losing 5 % of its probes stays degraded", "[link]") {
  std::mt19937_64 chance(3);
  auto now = start;
  loss_test t({});
  until_change(t, 0.05, 5000, chance, now);
  REQUIRE(t.degraded());
  CHECK(until_change(t, 0.05, 20'000, chance, now) > 2000);
}

TEST_CASE("one burst of losses is no brownout", "[link]") {
  loss_test t({});
  t.packets(50, 50, start);
  t.packets(50, 50, start + 50ms);
  CHECK_FALSE(t.degraded());
  t.packets(50, 50, start + 100ms);
  CHECK_FALSE(t.degraded());
  t.packets(50, 50, start + 200ms);  // the third piece of time: it goes on
  CHECK(t.degraded());
}

TEST_CASE("nothing sent says nothing, and more lost than sent is all lost", "[link]") {
  loss_test t({});
  t.packets(0, 3, start);
  CHECK(t.loss() == 0);
  t.packets(2, 5, start);
  CHECK(t.loss() < 0.03);
}

TEST_CASE("a tripled round trip is found after two windows, and its end after three", "[link]") {
  delay_test t({});
  auto now = start;
  for (int i = 0; i < 10; ++i)
    second_of(t, 10ms, now);
  CHECK(t.p95().count() == Approx(0.010).epsilon(0.05));
  second_of(t, 30ms, now);
  CHECK_FALSE(t.degraded());
  second_of(t, 30ms, now);
  CHECK(t.degraded());
  second_of(t, 17ms, now, 10 * 1001);  // between leave and enter
  CHECK(t.degraded());
  second_of(t, 10ms, now, 2 * 1001);
  CHECK(t.degraded());
  second_of(t, 10ms, now);
  CHECK_FALSE(t.degraded());
}

TEST_CASE("a single bad window, or a rise of little time, is no brownout", "[link]") {
  delay_test t({});
  auto now = start;
  second_of(t, 1ms, now, 5 * 1001);
  second_of(t, 100ms, now);
  second_of(t, 1ms, now);
  second_of(t, 100ms, now);
  second_of(t, 1ms, now);
  CHECK_FALSE(t.degraded());
  second_of(t, 4ms, now, 5 * 1001);  // four times as much, but 3 ms
  CHECK_FALSE(t.degraded());
}

TEST_CASE("a longer way is found though jitter stays as it was, and hides it from the p95", "[link]") {
  delay_test t({});
  auto now = start;
  const auto second = [&](milliseconds way) {
    for (int i = 0; i <= 1000; ++i)
      t.sample(way + milliseconds(i % 61), now += 1ms);  // 60 ms of jitter
  };
  for (int i = 0; i < 10; ++i)
    second(20ms);
  second(80ms);
  second(80ms);
  CHECK(t.degraded());
  CHECK(t.text() == "median round trip 109 ms instead of 50 ms");  // within a bucket
  CHECK(t.p95() < 2 * t.baseline());
}

TEST_CASE("a session that begins slowly does not teach that it is slow", "[link]") {
  delay_test t({});
  auto now = start;
  second_of(t, 80ms, now);
  second_of(t, 10ms, now, 2 * 1001);
  CHECK(t.baseline().count() == Approx(0.010).epsilon(0.05));
  second_of(t, 30ms, now, 2 * 1001);
  CHECK(t.degraded());
}

TEST_CASE("the baseline follows a slow change, and stands still while degraded", "[link]") {
  delay_test t({});
  auto now = start;
  second_of(t, 10ms, now, 5 * 1001);
  second_of(t, 40ms, now, 2 * 1001);
  const auto learned = t.baseline();
  second_of(t, 40ms, now, 3600 * 10);
  CHECK(t.degraded());
  CHECK(t.baseline() == learned);
  second_of(t, 10ms, now, 10 * 1001);
  for (int hour = 0; hour < 3; ++hour)
    second_of(t, milliseconds(12 + 4 * hour), now, 3600 * 1001);
  CHECK_FALSE(t.degraded());
  CHECK(t.baseline().count() == Approx(0.020).epsilon(0.1));
}

TEST_CASE("a window waits for enough samples", "[link]") {
  delay_test t({});
  auto now = start;
  int closed = 0;
  for (int i = 0; i < 40; ++i)
    closed += t.sample(10ms, now += 1600ms);
  CHECK(closed == 2);
}

TEST_CASE("a link that traffic left while its data were slow is cleared by its probes", "[link]") {
  brownout b({}, {});
  auto now = start;
  for (int i = 0; i < 5000; ++i)
    b.data_round_trip(10ms, now += 1ms);
  for (int i = 0; i < 100; ++i)
    b.probe_round_trip(5ms, now += 200ms);
  for (int i = 0; i < 2100; ++i)
    b.data_round_trip(60ms, now += 1ms);
  REQUIRE(b.degraded());
  CHECK(b.cause() == "p95 round trip 59 ms instead of 10 ms");  // within a bucket
  int probes = 0;
  for (; b.degraded() && probes < 1000; ++probes)
    b.probe_round_trip(5ms, now += 200ms);
  CHECK(probes > 50);
  CHECK(probes < 100);
  CHECK(b.cause().empty());
}

TEST_CASE("probes that were learned on the bad link alone do not clear it", "[link]") {
  brownout b({}, {});
  auto now = start;
  for (int i = 0; i < 5000; ++i)
    b.data_round_trip(10ms, now += 1ms);
  for (int i = 0; i < 2100; ++i)
    b.data_round_trip(60ms, now += 1ms);
  REQUIRE(b.degraded());
  for (int i = 0; i < 500; ++i)
    b.probe_round_trip(50ms, now += 200ms);
  CHECK(b.degraded());
  int probes = 0;
  for (; b.degraded() && probes < 1000; ++probes)
    b.probe_round_trip(5ms, now += 200ms);
  CHECK(probes < 100);
}

TEST_CASE("a few acknowledgements now and then do not keep probes from clearing a link", "[link]") {
  brownout b({}, {});
  auto now = start;
  for (int i = 0; i < 5000; ++i)
    b.data_round_trip(10ms, now += 1ms);
  for (int i = 0; i < 2100; ++i)
    b.data_round_trip(60ms, now += 1ms);
  REQUIRE(b.degraded());
  int probes = 0;
  for (; b.degraded() && probes < 1000; ++probes) {
    b.probe_round_trip(5ms, now += 500ms);
    if (probes % 10 == 0)
      b.data_round_trip(10ms, now);
  }
  CHECK(probes < 100);
}

TEST_CASE("probes that are slow too keep it degraded, and loss is named first", "[link]") {
  brownout b({}, {});
  auto now = start;
  for (int i = 0; i < 200; ++i)
    b.probe_round_trip(5ms, now += 200ms);
  for (int i = 0; i < 200; ++i)
    b.probe_round_trip(50ms, now += 200ms);
  CHECK(b.degraded());
  b.packets(100, 20, now += 1s);
  b.packets(100, 20, now += 1s);
  b.packets(100, 20, now += 1s);
  CHECK(b.cause().find("% of packets lost") != std::string::npos);
}
