// The dispatch plan against a model that plays with stores, links, routes and acknowledgements.

#include "store_dispatch_support.hpp"

#include <algorithm>
#include <random>
#include <set>

using namespace dispatch_test;

namespace {

struct batch_fate {
  std::uint64_t first, last;
  std::set<std::string> holders{};  // links that have it leased
  bool delivered = false;
};

/// Plays against the plan and remembers what it should know.
struct model {
  std::mt19937 chance;
  bool routed;
  dispatch_plan plan{classes, 30};
  std::map<std::string, std::map<std::uint64_t, batch_fate>> fates;  // class -> first
  std::map<std::string, std::uint64_t> heads;
  std::map<std::string, std::uint64_t> last_live;  // class -> first of the last live lease
  std::map<std::string, link::route> routes;
  std::map<std::string, std::set<std::pair<std::string, std::uint64_t>>> owed;  // by link: what it has to answer
  std::set<std::string> resting;

  model(unsigned seed, bool with_routes) : chance(seed), routed(with_routes) {}

  std::string any_link() { return std::string(1, static_cast<char>('a' + chance() % 3)); }
  void store_one() {
    auto& c = classes[chance() % classes.size()].name;
    const auto first = heads[c] + 1;
    const auto last = heads[c] = first + chance() % 5;
    fates[c][first] = {first, last};
    plan.stored(c, {first, last});
  }
  void lease_one() {
    const auto o = plan.next();
    if (!o)
      return;
    auto it = fates[o->record_class].find(o->todo.first);
    REQUIRE(it != fates[o->record_class].end());
    auto& f = it->second;
    const auto held = plan.holders(o->record_class, o->todo.first);
    REQUIRE(held.size() == (o->copy ? 1 : 0));  // never more than two, nor two where one was asked for
    REQUIRE(std::find(held.begin(), held.end(), o->link) == held.end());  // never two on one link
    for (auto& link : held)
      REQUIRE(f.holders.contains(link));
    if (!routed)  // where nothing gives way
      REQUIRE(f.holders.size() == held.size());
    REQUIRE_FALSE(f.delivered);
    REQUIRE(plan.ready(o->link));
    REQUIRE_FALSE(resting.contains(o->link));
    if (const auto r = routes.find(o->record_class); r != routes.end()) {
      const auto& [carriers, trial, standby] = r->second;
      const bool carrier = std::find(carriers.begin(), carriers.end(), o->link) != carriers.end();
      REQUIRE((carrier || (o->copy && trial == o->link)));
    }
    if (o->copy) {
      REQUIRE(o->todo.last == f.last);
    } else if (o->how == dispatch_plan::kind::live) {
      REQUIRE(last_live[o->record_class] < f.first);
      last_live[o->record_class] = f.first;
    } else {
      for (auto& [first, earlier] : fates[o->record_class])  // the backlog goes in order
        if (first < f.first && !earlier.delivered && plan.holders(o->record_class, first).empty())
          REQUIRE(live_contains(o->record_class, first));
    }
    f.holders.insert(o->link);
    owed[o->link].insert({o->record_class, f.first});
    plan.leased(*o, {f.first, f.last}, 10 + chance() % 50, start);
  }
  // What is older than a backlog batch, free, and not backlog itself is still live.
  bool live_contains(const std::string& c, std::uint64_t first) const {
    return last_live.contains(c) ? first > last_live.at(c) : true;
  }
  void deliver_some() {
    for (auto& [link, all] : owed)
      for (auto it = all.begin(); it != all.end();) {
        if (chance() % 4 != 0) {
          ++it;
          continue;
        }
        auto& f = fates[it->first].at(it->second);
        const auto whole = plan.acknowledged(link, it->first, {f.first, f.last}, start);
        REQUIRE(whole.size() == (f.delivered ? 0 : 1));  // the first to say so confirms it, whoever that is
        f.delivered = true;
        f.holders.clear();
        it = all.erase(it);
      }
  }
  void drop(const std::string& link) {
    owed.erase(link);
    for (auto& [c, all] : fates)
      for (auto& [first, f] : all)
        f.holders.erase(link);
  }
  void link_event() {
    const auto link = any_link();
    switch (chance() % 5) {
      case 0:
        if (plan.ready(link)) {
          plan.release(link);
          resting.insert(link);
          drop(link);
        }
        break;
      case 1: plan.resume(link); resting.erase(link); break;
      case 2: plan.share(link); break;
      default:
        drop(link);
        resting.erase(link);
        chance() % 2 == 0 ? plan.link_down(link) : plan.link_ready(link, 50 + chance() % 300);
    }
  }
  void route_event() {
    auto& c = classes[chance() % classes.size()].name;
    std::vector<std::string> all{"a", "b", "c"};
    std::shuffle(all.begin(), all.end(), chance);
    link::route r;
    const auto n = chance() % 3;
    r.carriers.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
    if (n > 0 && chance() % 3 == 0)
      r.trial = all[1 + chance() % 2];
    plan.route(c, r);
    routes[c] = r;
  }
};

} // namespace

TEST_CASE("every stored record is leased until it is delivered, at most twice and never twice to one link", "[store]") {
  for (unsigned seed = 1; seed <= 2000; ++seed) {
    INFO("seed " << seed);
    model m(seed, seed % 2 == 0);
    for (int n = 0; n < 250; ++n) {
      switch (m.chance() % 12) {
        case 0: case 1: case 2: m.store_one(); break;
        case 3: m.link_event(); break;
        case 4: case 5: m.deliver_some(); break;
        case 6: m.routed ? m.route_event() : m.lease_one(); break;
        default: m.lease_one();
      }
    }
    for (const auto* link : {"b", "c", "a"}) {
      m.drop(link);
      m.plan.link_down(link);
    }
    m.resting.clear();
    for (auto& c : classes)
      if (m.routed)
        m.plan.route(c.name, m.routes[c.name] = {{"a"}, "", ""});
    m.plan.link_ready("a", 200);
    for (int n = 0; n < 5000 && m.plan.backlog_records() + m.plan.live_records() + m.plan.in_flight_bytes() > 0; ++n) {
      m.lease_one();
      m.deliver_some();
    }
    for (auto& [c, all] : m.fates)
      for (auto& [first, f] : all)
        REQUIRE(f.delivered);
    REQUIRE(m.plan.in_flight_bytes() == 0);
    REQUIRE_FALSE(m.plan.oldest("telemetry"));
  }
}
