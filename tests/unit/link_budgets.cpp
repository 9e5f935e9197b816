#include "common/link/byte_budget.hpp"
#include "common/link/token_bucket.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace holdfast::link;
using namespace std::chrono_literals;

namespace {

const auto start = time_point{} + 1h;
// Saturday, 31 January 2026, noon.
const wall_time noon = std::chrono::sys_days{std::chrono::year{2026} / 1 / 31} + 12h;

} // namespace

TEST_CASE("a profile is found by its name, and only the three are there", "[link]") {
  for (const auto* name : {"fibre", "5g", "satellite"})
    CHECK(profile_named(name)->name == name);
  CHECK_FALSE(profile_named("smoke signals"));
}

TEST_CASE("every profile keeps the failover time of M7 and has room to leave what it enters", "[link]") {
  CHECK(fibre().monitor.failover == 200ms);
  CHECK(five_g().monitor.failover == 500ms);
  CHECK(satellite().monitor.failover == 1000ms);
  for (const auto& p : {fibre(), five_g(), satellite()}) {
    INFO(p.name);
    CHECK(p.monitor.floor < p.monitor.failover);
    CHECK(p.delay.leave < p.delay.enter);
    CHECK(p.damping.reuse < p.damping.suppress);
    CHECK(p.route.probation < p.route.hold);
    CHECK(p.budget.warn < p.budget.reserve);
  }
}

// -- token bucket -----------------------------------------------------------------------------------------------------

TEST_CASE("a burst goes at once, then bytes at the rate", "[link]") {
  token_bucket b(1000, 500);
  CHECK(b.take(300, start));
  CHECK(b.take(200, start));
  CHECK_FALSE(b.take(1, start));
  const auto at = b.next(100, start);
  CHECK(at >= start + 100ms);
  CHECK(at < start + 101ms);
  CHECK(b.take(100, at));
}

TEST_CASE("what is larger than the burst goes when the bucket is full, and is paid for", "[link]") {
  token_bucket b(1000, 500);
  CHECK(b.take(2000, start));
  const auto at = b.next(500, start);
  CHECK(at >= start + 2s);
  CHECK(b.take(500, at));
}

TEST_CASE("over time no more goes than rate and burst", "[link]") {
  token_bucket b(1e6, 64e3);
  auto now = start;
  std::uint64_t gone = 0;
  for (unsigned n = 0; now < start + 60s; n = (n + 977) % 3000) {
    now = b.next(n, now);
    REQUIRE(b.take(n, now));
    gone += n;
    now += 1us;
  }
  CHECK(gone <= 60'000'000 + 64'000 + 3000);
  CHECK(gone > 59'900'000);
}

TEST_CASE("without a rate everything goes, and time that goes back gives nothing", "[link]") {
  CHECK(token_bucket(0, 0).take(1'000'000'000, start));
  token_bucket b(1000, 1000);
  CHECK(b.take(1000, start + 1s));
  CHECK(b.level(start) == 0);
  CHECK(b.level(start + 1s) == 0);
}

// -- byte budget ------------------------------------------------------------------------------------------------------

TEST_CASE("the levels of a budget come in order, and nothing is left at its end", "[link]") {
  byte_budget b({.day = 1000});
  b.advance(noon);
  CHECK(b.level() == budget_level::ample);
  CHECK(b.left() == 1000);
  CHECK(b.left_without_reserve() == 950);
  b.spend(800, noon);
  CHECK(b.level() == budget_level::warned);
  b.spend(150, noon);
  CHECK(b.level() == budget_level::reserve);
  CHECK(b.left_without_reserve() == 0);
  CHECK(b.left() == 50);
  b.spend(60, noon);
  CHECK(b.level() == budget_level::spent);
  CHECK(b.left() == 0);
  CHECK(std::string_view(to_string(b.level())) == "spent");
}

TEST_CASE("day and month begin at midnight UTC, each for itself", "[link]") {
  byte_budget b({.day = 1000, .month = 1500});
  b.spend(900, noon - 24h);
  CHECK(b.left() == 100);
  b.spend(600, noon);
  CHECK(b.level() == budget_level::spent);  // the month
  b.advance(noon + 12h - 1s);
  CHECK(b.level() == budget_level::spent);
  b.advance(noon + 12h);                    // 1 February
  CHECK(b.left() == 1000);
  CHECK(b.state().used_month == 0);
}

TEST_CASE("without a limit a budget is never spent, and counts", "[link]") {
  byte_budget b({});
  b.spend(1'000'000'000'000, noon);
  CHECK(b.level() == budget_level::ample);
  CHECK(b.left() == std::numeric_limits<std::uint64_t>::max());
  CHECK(b.state().used_day == 1'000'000'000'000);
}

TEST_CASE("a budget goes on after a restart", "[link]") {
  byte_budget first({.day = 1000});
  first.spend(700, noon);
  byte_budget second({.day = 1000}, first.state());
  second.advance(noon + 1h);
  CHECK(second.left() == 300);
}

TEST_CASE("a clock that steps back over midnight gives no budget twice", "[link]") {
  byte_budget b({.day = 1000, .month = 5000});
  b.spend(1000, noon);
  b.spend(400, noon + 12h);  // the next day has its own
  for (int i = 0; i < 10; ++i) {
    b.advance(noon + 11h);
    CHECK(b.left() == 600);
    b.advance(noon + 12h);
    CHECK(b.left() == 600);
  }
}

TEST_CASE("a clock that was a year ahead takes along what was used, and is not stuck for a year", "[link]") {
  byte_budget b({.day = 1000});
  b.spend(800, noon + 365 * 24h);
  b.advance(noon);
  CHECK(b.left() == 200);
  b.advance(noon + 24h);
  CHECK(b.left() == 1000);
}

TEST_CASE("a gateway that boots in 1970 keeps what it used until its clock is set, and then", "[link]") {
  const auto today = std::chrono::floor<std::chrono::days>(noon).time_since_epoch().count();
  byte_budget b({.day = 1000, .month = 2000},
                {.day = today, .counted = today, .used_day = 900, .used_month = 1500});
  b.advance(wall_time{} + 5min);
  CHECK(b.left() == 100);
  byte_budget next({.day = 1000, .month = 2000}, b.state());
  next.advance(noon + 1h);
  CHECK(next.left() == 100);
  CHECK(next.state().used_month == 1500);
}
