#include "services/store/expiry.hpp"

#include <catch2/catch.hpp>

using namespace holdfast;
using namespace holdfast::store;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t second = 1'000'000'000;
using due = std::map<std::string, std::uint64_t>;
using heads = std::map<std::string, std::uint64_t>;

std::vector<config::record_class> classes(std::chrono::milliseconds ttl = 640s) {
  std::vector<config::record_class> out(2);
  out[0].name = "critical";
  out[1].name = "bulk";
  out[1].ttl = ttl;
  return out;
}

} // namespace

TEST_CASE("no class has a ttl by default", "[store]") {
  expiry e(classes(0ms), {}, "boot", 0, {{"bulk", 9}});
  CHECK(e.unused());
  CHECK_FALSE(e.stored("bulk", 10, second));
  CHECK(e.due(1'000'000 * second).empty());
}

TEST_CASE("records expire when their ttl is over, never early and at most a 64th late", "[store]") {
  expiry e(classes(), {}, "boot", 0, {});
  CHECK_FALSE(e.stored("critical", 5, 0));
  for (std::int64_t t = 0; t < 100; ++t)
    CHECK(e.stored("bulk", static_cast<std::uint64_t>(t + 1), t * second));
  std::uint64_t gone = 0;
  for (std::int64_t t = 100; t < 800; ++t) {
    const auto now = e.due(t * second);
    if (const auto b = now.find("bulk"); b != now.end())
      gone = b->second;
    CHECK(gone <= static_cast<std::uint64_t>(std::max<std::int64_t>(t - 639, 0)));
    CHECK(gone >= static_cast<std::uint64_t>(std::clamp<std::int64_t>(t - 639 - 10, 0, 100)));
    e.done("bulk", gone);
  }
  CHECK(gone == 100);
  CHECK(e.row(0).marks_size() == 0);
}

TEST_CASE("marks are bounded", "[store]") {
  expiry e(classes(), {}, "boot", 0, {});
  for (std::int64_t t = 0; t < 64000; ++t) {
    e.stored("bulk", static_cast<std::uint64_t>(t + 1), t * second / 10);
    for (auto& [name, last] : e.due(t * second / 10))
      e.done(name, last);
    REQUIRE(e.row(0).marks_size() <= expiry::marks_per_ttl + 2);
  }
}

TEST_CASE("ages go on over a restart, and stand over a time without power", "[store]") {
  expiry e(classes(), {}, "boot", 1000 * second, {});
  e.stored("bulk", 7, 1000 * second);
  const auto row = e.row(1300 * second);
  SECTION("the same boot: the time between counts") {
    expiry later(classes(), row, "boot", 1500 * second, {{"bulk", 7}});
    CHECK(later.due(1639 * second).empty());
    CHECK(later.due(1640 * second) == due{{"bulk", 7}});
  }
  SECTION("another boot: its clock began anew, whatever the wall clock says") {
    expiry later(classes(), row, "next", 20 * second, {{"bulk", 7}});
    CHECK(later.due(359 * second).empty());
    CHECK(later.due(360 * second) == due{{"bulk", 7}});
  }
}

TEST_CASE("what was there before the class got a ttl counts from then", "[store]") {
  expiry e(classes(), {}, "boot", 5000 * second, {{"bulk", 70}, {"critical", 3}});
  CHECK(e.due(5639 * second).empty());
  CHECK(e.due(5640 * second) == due{{"bulk", 70}});
  expiry shorter(classes(10s), e.row(5005 * second), "boot", 5005 * second, {{"bulk", 70}});
  CHECK(shorter.due(5010 * second) == due{{"bulk", 70}});
}
