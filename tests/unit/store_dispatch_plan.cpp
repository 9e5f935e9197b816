#include "services/store/dispatch_plan.hpp"
#include "storage_support.hpp"

#include <map>
#include <random>

using namespace holdfast;
using store::dispatch_plan;

namespace {

constexpr dispatch_plan::clock::time_point start{};  // where time does not matter

const std::vector<dispatch_plan::record_class> classes{{"bulk", 200}, {"critical", 10}, {"telemetry", 100}};

const std::map<dispatch_plan::kind, std::string> marks{{dispatch_plan::kind::live, ""}, {dispatch_plan::kind::backlog, " h"},
                                                       {dispatch_plan::kind::check, " check"},
                                                       {dispatch_plan::kind::gap, " gap"}};

/// Carries out the next order with a batch of `count` records and `bytes`; tells it as "link class first[ h]".
std::string step(dispatch_plan& p, std::uint64_t count = 10, std::uint64_t bytes = 100) {
  const auto o = p.next();
  if (!o)
    return "nothing";
  p.leased(*o, {o->todo.first, o->todo.first + count - 1}, bytes, start);
  return o->link + " " + o->record_class + " " + std::to_string(o->todo.first) + marks.at(o->how);
}

} // namespace

TEST_CASE("nothing is dispatched without a link", "[store]") {
  dispatch_plan p(classes, 20);
  p.stored("telemetry", {1, 10});
  CHECK_FALSE(p.any_ready());
  CHECK(step(p) == "nothing");
  CHECK(p.backlog_records() == 10);
  CHECK(p.live_records() == 0);
  p.link_ready("a", 1000);
  CHECK(p.ready("a"));
  CHECK(step(p) == "a telemetry 1 h");  // stored while no link was there: backlog
  CHECK(step(p) == "nothing");
}

TEST_CASE("live records go before the backlog", "[store]") {
  dispatch_plan p(classes, 0);
  p.add_backlog("telemetry", {1, 10});
  p.link_ready("a", 10'000);
  p.stored("telemetry", {11, 30});
  CHECK(p.live_records() == 20);
  CHECK(step(p) == "a telemetry 11");
  CHECK(step(p) == "a telemetry 21");
  CHECK(step(p) == "a telemetry 1 h");
}

TEST_CASE("classes go by priority, an urgent backlog before lesser live records", "[store]") {
  dispatch_plan p(classes, 0);
  p.add_backlog("critical", {1, 10});
  p.add_backlog("bulk", {1, 10});
  p.link_ready("a", 10'000);
  p.stored("telemetry", {1, 10});
  p.stored("critical", {11, 20});
  CHECK(step(p) == "a critical 11");
  CHECK(step(p) == "a critical 1 h");
  CHECK(step(p) == "a telemetry 1");
  CHECK(step(p) == "a bulk 1 h");
}

TEST_CASE("the backlog keeps its share of a busy link", "[store]") {
  for (unsigned share : {10U, 20U, 50U}) {
    dispatch_plan p(classes, share);
    p.add_backlog("telemetry", {1, 100'000});
    p.link_ready("a", UINT64_MAX);
    p.stored("telemetry", {100'001, 200'000});
    int historical = 0;
    for (int n = 0; n < 1000; ++n)
      historical += p.next()->how == dispatch_plan::kind::backlog, step(p);
    CHECK(historical == Approx(share * 10).margin(15));
  }
}

TEST_CASE("a long time without a backlog earns it no claim", "[store]") {
  dispatch_plan p(classes, 50);
  p.link_ready("a", UINT64_MAX);
  for (std::uint64_t n = 0; n < 1000; ++n) {
    p.stored("telemetry", {n * 10 + 1, n * 10 + 10});
    CHECK(step(p, 10, 1 << 20).ends_with(std::to_string(n * 10 + 1)));
  }
  p.add_backlog("bulk", {1, 1000});
  p.stored("telemetry", {20'001, 20'020});
  CHECK(step(p) == "a telemetry 20001");
}

TEST_CASE("a window admits one batch of any size, then only what has room", "[store]") {
  dispatch_plan p(classes, 20);
  p.link_ready("a", 150);
  p.stored("telemetry", {1, 50});
  CHECK(step(p, 10, 1000) == "a telemetry 1");
  CHECK(step(p) == "nothing");
  p.acknowledged("telemetry", {1, 10}, start);
  CHECK(p.in_flight_bytes() == 0);
  CHECK(step(p, 10, 100) == "a telemetry 11");
  CHECK(step(p, 10, 100) == "a telemetry 21");
  CHECK(step(p) == "nothing");
  CHECK(p.in_flight_bytes() == 200);
}

TEST_CASE("a second link takes what the first has no room for", "[store]") {
  dispatch_plan p(classes, 20);
  p.link_ready("a", 100);
  p.link_ready("b", 100);
  p.stored("telemetry", {1, 50});
  CHECK(step(p) == "a telemetry 1");
  CHECK(step(p) == "b telemetry 11");
  CHECK(step(p) == "nothing");
}

TEST_CASE("a link that goes down returns its leases at once", "[store]") {
  dispatch_plan p(classes, 20);
  p.link_ready("a", 1000);
  p.link_ready("b", 1000);
  p.stored("telemetry", {1, 40});
  step(p);
  step(p);
  p.link_down("a");
  CHECK_FALSE(p.ready("a"));
  CHECK(p.in_flight_bytes() == 0);
  CHECK(p.backlog_records() == 20);
  CHECK(p.live_records() == 20);
  CHECK(p.oldest("telemetry") == 1);
  CHECK(step(p) == "b telemetry 21");
  p.link_down("b");
  CHECK(p.live_records() == 0);  // nobody is there: all of it is backlog now
  CHECK(p.backlog_records() == 40);
  p.link_down("b");
  p.link_ready("b", 1000);
  CHECK(step(p) == "b telemetry 1 h");
}

TEST_CASE("a new session of a link has none of the old one's leases", "[store]") {
  dispatch_plan p(classes, 20);
  p.link_ready("a", 100);
  p.stored("telemetry", {1, 10});
  step(p);
  p.link_ready("a", 100);
  CHECK(p.in_flight_bytes() == 0);
  CHECK(step(p) == "a telemetry 1 h");
}

TEST_CASE("an acknowledgement from another link completes a batch wherever it is", "[store]") {
  dispatch_plan p(classes, 20);
  p.link_ready("a", 100);
  p.link_ready("b", 100);
  p.stored("telemetry", {1, 30});
  step(p);
  step(p);
  p.acknowledged("telemetry", {1, 30}, start);  // leased to a, leased to b, and still waiting
  CHECK(p.in_flight_bytes() == 0);
  CHECK(p.live_records() == 0);
  CHECK(p.oldest("telemetry") == 21);
  p.link_down("a");
  CHECK(step(p) == "b telemetry 21 check");  // nobody sent these: is it the same?
  p.acknowledged("telemetry", {21, 30}, start);
  CHECK_FALSE(p.oldest("telemetry"));
  CHECK(p.backlog_records() == 0);
  CHECK(step(p) == "nothing");
}

TEST_CASE("a class the destination does not want is not planned", "[store]") {
  dispatch_plan p({{"telemetry", 100}}, 100);
  p.link_ready("a", 100);
  p.stored("bulk", {1, 10});
  p.add_backlog("bulk", {1, 10});
  CHECK(p.acknowledged("bulk", {1, 2}, start).empty());
  CHECK_FALSE(p.oldest("bulk"));
  CHECK(step(p) == "nothing");
}

// -- model ------------------------------------------------------------------------------------------------------------

namespace {

struct batch_fate {
  std::uint64_t first, last;
  std::string holder;   // link that has it leased
  bool delivered = false;
};

/// Plays against the plan and remembers what it should know.
struct model {
  std::mt19937 chance;
  dispatch_plan plan{classes, 30};
  std::map<std::string, std::map<std::uint64_t, batch_fate>> fates;  // class -> first
  std::map<std::string, std::uint64_t> heads;
  std::map<std::string, std::uint64_t> last_live;  // class -> first of the last live lease

  explicit model(unsigned seed) : chance(seed) {}

  void store_one() {
    auto& c = classes[chance() % classes.size()].name;
    const auto first = heads[c] + 1;
    const auto last = heads[c] = first + chance() % 5;
    fates[c][first] = {first, last, {}};
    plan.stored(c, {first, last});
  }
  void lease_one() {
    const auto o = plan.next();
    if (!o)
      return;
    auto it = fates[o->record_class].find(o->todo.first);
    REQUIRE(it != fates[o->record_class].end());
    auto& f = it->second;
    REQUIRE(f.holder.empty());     // never leased twice at once
    REQUIRE_FALSE(f.delivered);
    REQUIRE(plan.ready(o->link));
    if (o->how == dispatch_plan::kind::live) {
      REQUIRE(last_live[o->record_class] < f.first);
      last_live[o->record_class] = f.first;
    } else {
      for (auto& [first, earlier] : fates[o->record_class])  // the backlog goes in order
        if (first < f.first && !earlier.delivered && earlier.holder.empty())
          REQUIRE(live_contains(o->record_class, first));
    }
    f.holder = o->link;
    plan.leased(*o, {f.first, f.last}, 10 + chance() % 50, start);
  }
  // What is older than a backlog batch, free, and not backlog itself is still live.
  bool live_contains(const std::string& c, std::uint64_t first) const {
    return last_live.contains(c) ? first > last_live.at(c) : true;
  }
  void deliver_one() {
    for (auto& [c, all] : fates)
      for (auto& [first, f] : all)
        if (!f.delivered && !f.holder.empty() && chance() % 4 == 0) {
          f.delivered = true;
          f.holder.clear();
          plan.acknowledged(c, {f.first, f.last}, start);
        }
  }
  void drop(const std::string& link) {
    for (auto& [c, all] : fates)
      for (auto& [first, f] : all)
        if (f.holder == link)
          f.holder.clear();
  }
  void link_event() {
    const std::string link(1, static_cast<char>('a' + chance() % 3));
    drop(link);
    chance() % 2 == 0 ? plan.link_down(link) : plan.link_ready(link, 50 + chance() % 300);
  }
};

} // namespace

TEST_CASE("every stored record is leased until it is delivered, never twice at once", "[store]") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    model m(seed);
    for (int n = 0; n < 250; ++n) {
      switch (m.chance() % 12) {
        case 0: case 1: case 2: m.store_one(); break;
        case 3: m.link_event(); break;
        case 4: case 5: m.deliver_one(); break;
        default: m.lease_one();
      }
    }
    m.drop("b");
    m.drop("c");
    m.plan.link_down("b");
    m.plan.link_down("c");
    m.drop("a");
    m.plan.link_ready("a", 200);
    for (int n = 0; n < 5000 && m.plan.backlog_records() + m.plan.live_records() + m.plan.in_flight_bytes() > 0; ++n) {
      m.lease_one();
      m.deliver_one();
    }
    for (auto& [c, all] : m.fates)
      for (auto& [first, f] : all)
        REQUIRE(f.delivered);
    REQUIRE(m.plan.in_flight_bytes() == 0);
    REQUIRE_FALSE(m.plan.oldest("telemetry"));
  }
}
