#include "services/store/dispatch_plan.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <set>

using namespace holdfast;
using store::delivery_lane;
using store::dispatch_plan;
using kind = delivery_lane::kind;

namespace {

constexpr dispatch_plan::clock::time_point start{};

/// A lane whose store gave the numbers up to 100; 61 to 100 are not confirmed.
delivery_lane at_100() {
  delivery_lane l;
  l.opened(100);
  l.add_backlog({61, 100});
  return l;
}

} // namespace

TEST_CASE("a destination that has what it confirmed changes nothing", "[store]") {
  auto l = at_100();
  CHECK(l.reconcile({{1, 60}}));
  CHECK(l.checked());
  CHECK_FALSE(l.front(kind::gap));
  CHECK(l.front(kind::backlog) == seq_range{61, 100});
}

TEST_CASE("what a destination has beyond its confirmations is compared, not believed", "[store]") {
  auto l = at_100();
  CHECK(l.reconcile({{1, 75}}));
  CHECK_FALSE(l.checked());
  CHECK(l.front(kind::check) == seq_range{61, 75});
  CHECK(l.front(kind::backlog) == seq_range{76, 100});
  CHECK(l.backlog_records() == 40);
  CHECK(l.oldest() == 61);
  l.leased({61, 70}, "a", kind::check);
  CHECK(l.acknowledged({61, 70}).size() == 1);
  CHECK_FALSE(l.checked());
  l.leased({71, 75}, "a", kind::check);
  CHECK_FALSE(l.rejected(71, "b", false));
  CHECK(l.rejected(71, "a", false));
  CHECK(l.checked());
  CHECK(l.front(kind::backlog) == seq_range{71, 100});
}

TEST_CASE("numbers that were never given are told", "[store]") {
  auto l = at_100();
  CHECK_FALSE(l.reconcile({{1, 60}, {99, 101}}));
  CHECK(l.front(kind::check) == seq_range{99, 100});
  l.stored({101, 105}, false);
  CHECK(l.reconcile({{1, 60}, {99, 101}}));
  CHECK(l.front(kind::check) == seq_range{99, 101});
}

TEST_CASE("what a destination confirmed and lacks becomes a gap", "[store]") {
  auto l = at_100();
  l.leased({61, 70}, "a", kind::backlog);
  CHECK(l.reconcile({{11, 20}}));
  CHECK(l.front(kind::gap) == seq_range{1, 10});
  l.leased({1, 10}, "a", kind::gap);
  l.acknowledged({1, 10});
  CHECK(l.front(kind::gap) == seq_range{21, 60});  // 61 to 70 are on their way
  CHECK(l.oldest() == 61);
}

TEST_CASE("an old session's claims and losses do not outlive it", "[store]") {
  auto l = at_100();
  l.reconcile({{1, 75}});
  l.no_links();
  CHECK(l.checked());
  CHECK(l.front(kind::backlog) == seq_range{61, 100});
  l.reconcile({});
  CHECK(l.front(kind::gap) == seq_range{1, 60});
  l.reconcile({{1, 60}});
  CHECK_FALSE(l.front(kind::gap));
}

TEST_CASE("an acknowledgement confirms whole leases; what else it says is a claim", "[store]") {
  auto l = at_100();
  l.leased({61, 70}, "a", kind::backlog);
  l.leased({71, 80}, "a", kind::backlog);
  CHECK(l.acknowledged({61, 75}) == std::vector<seq_range>{{61, 70}});
  CHECK(l.checked());  // of 71 to 80 nothing is confirmed
  CHECK(l.acknowledged({85, 90}).empty());
  CHECK(l.front(kind::check) == seq_range{85, 90});
  CHECK(l.oldest() == 71);
}

TEST_CASE("what is there under other epochs is compared too, and is never foreign", "[store]") {
  auto l = at_100();
  CHECK(l.reconcile({{1, 60}}, {{50, 200}}));
  CHECK(l.front(kind::check) == seq_range{61, 100});
  CHECK_FALSE(l.front(kind::gap));
}

TEST_CASE("a gap that is not taken is not offered again before the next session", "[store]") {
  auto l = at_100();
  l.reconcile({});
  l.leased({1, 60}, "a", kind::gap);
  CHECK(l.rejected(1, "a", true));
  CHECK_FALSE(l.front(kind::gap));
  l.reconcile({});
  CHECK(l.front(kind::gap) == seq_range{1, 60});
}

TEST_CASE("a returned lease is what it was", "[store]") {
  auto l = at_100();
  l.stored({101, 110}, true);
  l.reconcile({{21, 75}});
  l.leased({61, 70}, "a", kind::check);
  l.leased({101, 110}, "a", kind::live);
  l.leased({1, 20}, "a", kind::gap);
  l.link_down("b");
  CHECK(l.has_leases());
  l.link_down("a");
  CHECK_FALSE(l.has_leases());
  CHECK(l.front(kind::check) == seq_range{61, 75});
  CHECK(l.front(kind::gap) == seq_range{1, 20});
  CHECK_FALSE(l.front(kind::live));
  CHECK(l.backlog_records() == 50);
}

TEST_CASE("a batch that is larger than the destination takes waits aside for its next session", "[store]") {
  dispatch_plan p({{"telemetry", 100}}, 20);
  p.link_ready("a", 1000);
  p.stored("telemetry", {1, 10});
  p.stored("telemetry", {11, 20});
  p.leased(*p.next(), {1, 10}, 100, start);
  p.rejected("a", "telemetry", 1, dispatch_plan::rejection::aside, start);
  CHECK_FALSE(p.foreign());
  CHECK(p.in_flight_bytes() == 0);
  CHECK(p.parked_records() == 10);
  CHECK(p.oldest("telemetry") == 1);
  CHECK(p.next()->todo.first == 11);  // the others pass it
  p.link_ready("a", 1000);
  CHECK(p.parked_records() == 0);
  CHECK(p.next()->todo.first == 1);
}

TEST_CASE("claims are compared before anything else goes", "[store]") {
  dispatch_plan p({{"critical", 10}, {"telemetry", 100}}, 20);
  p.opened("critical", 50);
  p.add_backlog("telemetry", {1, 20});
  p.link_ready("a", 1000);
  p.reconcile({{"telemetry", {{1, 10}}}});
  auto o = p.next();
  CHECK((o->record_class == "telemetry" && o->how == kind::check && o->todo == seq_range{1, 10}));
  p.leased(*o, {1, 10}, 24, start);
  CHECK(p.acknowledged("a", "telemetry", {1, 10}, start) == std::vector<seq_range>{{1, 10}});
  o = p.next();
  CHECK((o->record_class == "critical" && o->how == kind::gap && o->todo == seq_range{1, 50}));
}

TEST_CASE("a destination with other numbers gets nothing until the store has a new epoch", "[store]") {
  dispatch_plan p({{"telemetry", 100}}, 20);
  p.add_backlog("telemetry", {1, 20});
  p.link_ready("a", 1000);
  SECTION("it has more than was ever given") {
    p.reconcile({{"telemetry", {{1, 10}, {21, 25}}}});
    CHECK(p.foreign());
    CHECK_FALSE(p.settled());
    p.leased(*p.next(true), {1, 10}, 24, start);
    CHECK_FALSE(p.settled());
    p.acknowledged("a", "telemetry", {1, 10}, start);
  }
  SECTION("it has something else") {
    p.reconcile({{"telemetry", {{1, 10}}}});
    CHECK_FALSE(p.foreign());
    p.leased(*p.next(), {1, 10}, 24, start);
    p.rejected("a", "telemetry", 1, dispatch_plan::rejection::conflict, start);
    CHECK(p.foreign());
  }
  CHECK(p.settled());
  CHECK_FALSE(p.next(true));
  p.renewed();
  CHECK_FALSE(p.foreign());
  CHECK_FALSE(p.any_ready());
}

TEST_CASE("a batch that two links hold returns when neither does any more", "[store]") {
  auto l = at_100();
  l.leased({61, 70}, "a", kind::live);
  l.want_copy(61, "b");
  l.want_copy(61, "c");
  CHECK(l.copy(kind::live, "b") == seq_range{61, 70});
  CHECK_FALSE(l.copy(kind::backlog, "b"));
  l.leased({61, 70}, "b", kind::live);
  CHECK_FALSE(l.copy(kind::live, "c"));  // two are enough
  l.link_down("a");
  CHECK(l.front(kind::backlog) == seq_range{71, 100});
  l.want_copies("c");
  CHECK(l.copy(kind::live, "c") == seq_range{61, 70});
  CHECK(l.rejected(61, "b", false));
  CHECK(l.front(kind::backlog) == seq_range{61, 100});
  CHECK_FALSE(l.copy(kind::live, "c"));
}

TEST_CASE("an acknowledgement confirms a batch that anybody has, and is a claim to one that nobody has", "[store]") {
  auto l = at_100();
  l.leased({61, 70}, "a", kind::backlog);
  l.want_copy(61, "b");
  l.leased({61, 70}, "b", kind::backlog);
  l.leased({71, 80}, "a", kind::backlog);
  l.link_down("a");
  CHECK(l.acknowledged({61, 80}) == std::vector<seq_range>{{61, 70}});
  CHECK(l.front(kind::check) == seq_range{71, 80});
  CHECK_FALSE(l.has_leases());
}

// Whatever order things happen in, each number ends as confirmed; no leases overlap but the two of one batch.
TEST_CASE("every number of a lane is somewhere, once", "[store]") {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    INFO("seed " << seed);
    std::mt19937 chance(seed);
    delivery_lane l;
    std::uint64_t head = 0;
    std::set<std::uint64_t> confirmed;
    struct held { seq_range r; std::set<std::string> links; };
    std::map<std::uint64_t, held> leases;
    const auto any_link = [&] { return std::string(1, static_cast<char>('a' + chance() % 3)); };
    const auto confirm = [&](seq_range r) {
      REQUIRE(l.acknowledged(r) == std::vector<seq_range>{r});
      for (auto n = r.first; n <= r.last; ++n)
        confirmed.insert(n);
    };
    for (int n = 0; n < 300; ++n) {
      const auto link = any_link();
      switch (chance() % 9) {
        case 0: l.stored({head + 1, head + 5}, chance() % 2 == 0); head += 5; break;
        case 1: {
          std::vector<seq_range> present;
          for (std::uint64_t b = 1; b <= head; b += 5)
            if (chance() % 2 == 0)
              present.push_back({b, b + 4});
          REQUIRE(l.reconcile(present));
          break;
        }
        case 2:
          l.link_down(link);
          for (auto& [first, h] : leases)
            h.links.erase(link);
          std::erase_if(leases, [](auto& e) { return e.second.links.empty(); });
          break;
        case 3:
          if (!leases.empty()) {
            confirm(leases.begin()->second.r);
            leases.erase(leases.begin());
          }
          break;
        case 4:
          if (!leases.empty()) {
            auto& [first, h] = *leases.begin();
            REQUIRE(l.rejected(first, *h.links.begin(), false));
            h.links.erase(h.links.begin());
            if (h.links.empty())
              leases.erase(leases.begin());
          }
          break;
        case 5: l.want_copies(link, chance() % 2 == 0 ? any_link() : ""); break;
        default: {
          const auto how = static_cast<kind>(chance() % 4);
          if (const auto batch = l.copy(how, link)) {
            auto& h = leases.at(batch->first);
            REQUIRE(h.r == *batch);
            REQUIRE((h.links.size() == 1 && !h.links.contains(link)));
            l.leased(*batch, link, how);
            h.links.insert(link);
          } else if (const auto todo = l.front(how)) {
            const seq_range r{todo->first, std::min(todo->last, todo->first + 4)};
            for (auto& [first, other] : leases)
              REQUIRE((other.r.last < r.first || other.r.first > r.last));
            l.leased(r, link, how);
            leases[r.first] = {r, {link}};
          }
        }
      }
    }
    std::uint64_t open = l.live_records() + l.backlog_records();
    for (auto& [first, h] : leases)
      for (auto i = h.r.first; i <= h.r.last; ++i)
        open += confirmed.contains(i) ? 0 : 1;
    CHECK(open + confirmed.size() == head);
  }
}
