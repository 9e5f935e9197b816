#include "common/core/range_set.hpp"
#include "storage_support.hpp"

#include <limits>
#include <random>
#include <set>

using holdfast::range_set;
using holdfast::seq_range;

namespace {

constexpr std::uint64_t span = 60;  // small, so that pieces meet, touch and swallow each other

using model = std::set<std::uint64_t>;

std::vector<seq_range> pieces(const model& m, seq_range within, bool there) {
  std::vector<seq_range> out;
  for (auto n = within.first; n <= within.last; ++n) {
    if (m.contains(n) != there)
      continue;
    if (!out.empty() && out.back().last + 1 == n)
      out.back().last = n;
    else
      out.push_back({n, n});
  }
  return out;
}

void compare(const range_set& s, const model& m, seq_range probe) {
  REQUIRE(s.count() == m.size());
  REQUIRE(s.empty() == m.empty());
  const auto all = pieces(m, {1, span + 20}, true);
  REQUIRE(s.ranges() == all);
  REQUIRE(s.pieces() == all.size());
  REQUIRE(s.front() == (all.empty() ? std::nullopt : std::optional(all.front())));
  REQUIRE(s.inside(probe) == pieces(m, probe, true));
  REQUIRE(s.outside(probe) == pieces(m, probe, false));
  REQUIRE(s.contains(probe) == pieces(m, probe, false).empty());
  REQUIRE(s.touches(probe) == !pieces(m, probe, true).empty());
  const auto after = pieces(m, {probe.first, span + 20}, true);
  REQUIRE(s.at_or_after(probe.first) == (after.empty() ? std::nullopt : std::optional(after.front())));
}

} // namespace

TEST_CASE("a range set is what a set of its numbers is", "[core]") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 chance(seed);
    const auto range = [&] {
      const auto first = 1 + chance() % span;
      return seq_range{first, first + chance() % (chance() % 4 == 0 ? 20 : 4)};
    };
    range_set s;
    model m;
    INFO("seed " << seed);
    for (int step = 0; step < 60; ++step) {
      const auto r = range();
      const bool put = chance() % 5 < 3;
      put ? s.insert(r) : s.erase(r);
      for (auto n = r.first; n <= r.last; ++n) {
        if (put)
          m.insert(n);
        else
          m.erase(n);
      }
      compare(s, m, range());
    }
    s.clear();
    CHECK(s.empty());
    CHECK(s.pieces() == 0);
  }
}

TEST_CASE("a cleared range set counts nothing", "[core]") {
  range_set s;
  s.insert({3, 9});
  s.clear();
  CHECK(s.count() == 0);
  s.insert({1, 2});
  CHECK(s.count() == 2);
}

TEST_CASE("a range set reaches the ends of the numbers", "[core]") {
  constexpr auto top = std::numeric_limits<std::uint64_t>::max();
  range_set s;
  s.insert({top - 5, top});
  CHECK(s.contains({top, top}));
  CHECK(s.outside({top - 7, top}) == std::vector<seq_range>{{top - 7, top - 6}});
  s.insert({top - 7, top});
  CHECK(s.ranges() == std::vector<seq_range>{{top - 7, top}});
  s.insert({0, 0});
  CHECK(s.pieces() == 2);
  s.insert({1, 4});
  CHECK(s.ranges() == std::vector<seq_range>{{0, 4}, {top - 7, top}});
  s.erase({0, top});
  CHECK(s.empty());
}
