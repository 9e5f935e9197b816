// Several links and one route supervisor on virtual time: what the receiver sees of a switch.

#include "link_gateway.hpp"

using namespace holdfast::link;
using namespace holdfast::link::test;

TEST_CASE("the service gap of a black hole, as the receiver sees it", "[link][link-figures]") {
  struct pair { profile from; profile to; double goal; };
  struct way { const char* name; bool forward; bool backward; };
  const pair pairs[] = {{fibre(), five_g(), 200}, {five_g(), satellite(), 1000}, {satellite(), five_g(), 2500}};
  const way ways[] = {{"both", true, true}, {"there", true, false}, {"back", false, true}};
  std::string table = "service gap of a black hole under 1,000 records/s, 50 phases: ms\n";
  for (const auto& p : pairs) {
    for (const auto& way : ways) {
      std::vector<clock::duration> gaps;
      std::uint64_t doubled = 0;
      for (unsigned phase = 0; phase < 50 / share; ++phase) {
        gateway g({p.from, p.to}, 100 + phase);
        g.run(g.now + 5s + phase * 1700us);
        g.longest_gap = {};
        g.cut(0, way.forward, way.backward, 1h);
        g.run(g.now + 4s);
        gaps.push_back(g.longest_gap);
        CHECK(g.supervisor.route_of("telemetry").carriers.front() == p.to.name);
        settle(g);
        doubled += g.doubled;
      }
      table += fmt::format("{:<10} to {:<10} {:<6} p50 {:5.0f} p99 {:5.0f} max {:5.0f}   sent twice, on average: {}\n",
                           p.from.name, p.to.name, way.name, quantile(gaps, 0.5), quantile(gaps, 0.99),
                           quantile(gaps, 1), doubled * share / 50);
      CHECK(quantile(gaps, 0.99) <= p.goal);
    }
  }
  WARN(table);
}

TEST_CASE("a path that flaps for 10 min causes at most 4 switches and loses nothing", "[link][link-figures]") {
  std::string table = "primary that is cut for half of every 5 s, 10 min\n";
  for (const auto& pair : {std::pair{fibre(), five_g()}, {five_g(), satellite()}}) {
    gateway g({pair.first, pair.second}, 1, 10ms);
    g.run(g.now + 3min);
    REQUIRE(g.supervisor.route_of("telemetry").carriers.front() == pair.first.name);
    g.switches = 0;
    for (int i = 0; i < 120; ++i) {
      g.cut(0, true, true, 2500ms);
      g.run(g.now + 5s);
    }
    table += fmt::format("{:<10} {} switches, suppressed: {}", pair.first.name, g.switches,
                         g.supervisor.suppressed(std::string(pair.first.name)));
    CHECK(g.switches <= 4);
    const auto calm = g.now;
    while (g.supervisor.route_of("telemetry").carriers.front() != pair.first.name && g.now < calm + 30min)
      g.run(g.now + 1s);
    const auto away = std::chrono::duration_cast<std::chrono::seconds>(g.now - calm);
    table += fmt::format(", returns {} s after the last flap\n", away.count());
    CHECK(away <= 15min + 65s);
    settle(g);
  }
  WARN(table);
}

TEST_CASE("the acknowledgement path is cut, the data path is not: all arrive, some twice (L39)", "[link]") {
  gateway g({fibre(), five_g()}, 4);
  g.run(g.now + 10s);
  g.cut(0, false, true, 1h);
  g.run(g.now + 2s);
  CHECK(g.supervisor.route_of("telemetry").carriers.front() == "5g");
  CHECK(g.doubled > 20);
  settle(g);
}

TEST_CASE("failback after an outage happens once, and nothing stands still for it (L38)", "[link]") {
  gateway g({fibre(), five_g()}, 5, 5ms);
  g.run(g.now + 1min);
  g.cut(0, true, true, 20s);
  g.run(g.now + 25s);
  REQUIRE(g.supervisor.route_of("telemetry").carriers.front() == "5g");
  g.switches = 0;
  g.longest_gap = {};
  g.run(g.now + 10min);
  CAPTURE(g.events);
  CHECK(g.supervisor.route_of("telemetry").carriers.front() == "fibre");
  CHECK(g.switches == 1);
  CHECK(g.longest_gap < 250ms);  // 5G's own standstills before the return
  settle(g);
}

TEST_CASE("all links are dead for an hour and return in every order: the first is used when its attempt succeeds (L37)",
          "[link][link-figures]") {
  const std::vector<profile> all{fibre(), five_g(), satellite()};
  const holdfast::config::link defaults;
  std::vector<std::size_t> order{0, 1, 2};
  std::string table = "all links dead for 1 h, returning 10 min apart: s from the first's return to traffic on it\n";
  do {
    clock::duration longest{};
    for (unsigned phase = 0; phase < 10; ++phase) {
      gateway g(all, 40 + phase, 1s);
      for (std::size_t i = 0; i < all.size(); ++i) {
        auto r = defaults.reconnect;
        r.first = all[i].reconnect.first;
        r.cap = all[i].reconnect.cap;
        r.stable = all[i].reconnect.stable;
        g.links[i]->backoff.emplace(r);
        g.links[i]->connect_timeout = defaults.connect_timeout;
      }
      g.run(g.now + 2min + phase * 137ms);
      for (std::size_t i = 0; i < all.size(); ++i)
        g.cut(order[i], true, true, 1h + i * 10min);
      g.run(g.now + 1h);
      CHECK(g.supervisor.route_of("telemetry").carriers.empty());
      const auto healed = g.now;
      const auto& first = all[order[0]];
      const auto bound = first.reconnect.cap + defaults.connect_timeout + 2s;
      while (g.supervisor.route_of("telemetry").carriers.empty() && g.now < healed + 10min)
        g.run(g.now + 50ms);
      REQUIRE_FALSE(g.supervisor.route_of("telemetry").carriers.empty());
      CHECK(g.supervisor.route_of("telemetry").carriers.front() == first.name);
      longest = std::max(longest, g.now - healed);
      CHECK(g.now - healed <= bound);
      g.run(g.now + 40min);  // all are back, and have been for their hold
      CHECK(g.supervisor.route_of("telemetry").carriers.front() == "fibre");
      settle(g);
    }
    table += fmt::format("{:<10} {:<10} {:<10} longest {:6.1f}, bound {:5.1f}\n", all[order[0]].name, all[order[1]].name,
                         all[order[2]].name, seconds(longest).count(),
                         seconds(all[order[0]].reconnect.cap + defaults.connect_timeout + 2s).count());
  } while (std::next_permutation(order.begin(), order.end()));
  WARN(table);
}
