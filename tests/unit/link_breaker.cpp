#include "common/link/circuit_breaker.hpp"

#include <catch2/catch.hpp>

using namespace holdfast::link;
using namespace std::chrono_literals;

namespace {

const auto start = time_point{} + 1h;

circuit_breaker opened_at(time_point when) {
  circuit_breaker b({});
  for (int i = 0; i < 5; ++i)
    b.failed(when);
  return b;
}

} // namespace

TEST_CASE("a breaker opens at half of the outcomes, and not before there are enough", "[link]") {
  circuit_breaker b({});
  auto now = start;
  for (int i = 0; i < 4; ++i)
    b.failed(now += 100ms);
  CHECK(b.state(now) == breaker_state::closed);
  b.failed(now);
  CHECK(b.state(now) == breaker_state::open);
  CHECK(b.openings() == 1);

  circuit_breaker c({});
  for (int i = 0; i < 9; ++i)
    c.succeeded(now += 100ms);
  for (int i = 0; i < 8; ++i)
    c.failed(now += 100ms);
  CHECK(c.state(now) == breaker_state::closed);
  CHECK(c.errors(now) < 0.5);
  c.failed(now);
  CHECK(c.state(now) == breaker_state::open);
}

TEST_CASE("only the last outcomes count, by number and by age", "[link]") {
  circuit_breaker b({});
  auto now = start;
  for (int i = 0; i < 100; ++i)
    b.succeeded(now);
  for (int i = 0; i < 10; ++i)
    b.failed(now);
  CHECK(b.state(now) == breaker_state::open);

  circuit_breaker c({});
  for (int i = 0; i < 4; ++i)
    c.failed(now);
  CHECK(c.errors(now) == 1);
  CHECK(c.errors(now + 61s) == 0);
  c.failed(now += 61s);
  CHECK(c.state(now) == breaker_state::closed);
}

TEST_CASE("an open breaker lets nothing through for 10 s, then three trials, and closes when all succeed", "[link]") {
  auto b = opened_at(start);
  CHECK_FALSE(b.allow(start + 9999ms));
  CHECK(b.next_deadline() == start + 10s);
  CHECK(b.state(start + 10s) == breaker_state::half_open);
  for (int i = 0; i < 3; ++i)
    CHECK(b.allow(start + 10s));
  CHECK_FALSE(b.allow(start + 10s));
  b.succeeded(start + 11s);
  b.succeeded(start + 11s);
  CHECK(b.state(start + 11s) == breaker_state::half_open);
  b.succeeded(start + 11s);
  CHECK(b.state(start + 11s) == breaker_state::closed);
  CHECK_FALSE(b.next_deadline());
  CHECK(b.allow(start + 11s));
  b.failed(start + 12s);
  CHECK(b.state(start + 12s) == breaker_state::closed);  // the window began anew
}

TEST_CASE("one failed trial opens it again for 10 s", "[link]") {
  auto b = opened_at(start);
  CHECK(b.allow(start + 10s));
  b.succeeded(start + 10s);
  CHECK(b.allow(start + 10s));
  b.failed(start + 12s);
  CHECK(b.state(start + 12s) == breaker_state::open);
  CHECK_FALSE(b.allow(start + 21s));
  CHECK(b.allow(start + 22s));
  CHECK(b.openings() == 1);
}

TEST_CASE("trials that never end block nobody for ever", "[link]") {
  auto b = opened_at(start);
  for (int i = 0; i < 3; ++i)
    CHECK(b.allow(start + 10s));
  CHECK_FALSE(b.allow(start + 19s));
  CHECK(b.allow(start + 20s));
}

TEST_CASE("a late success of before the opening closes nothing", "[link]") {
  auto b = opened_at(start);
  b.succeeded(start + 1s);
  b.succeeded(start + 1s);
  b.succeeded(start + 1s);
  CHECK(b.state(start + 1s) == breaker_state::open);
  CHECK(std::string_view(to_string(b.state(start))) == "open");
}
