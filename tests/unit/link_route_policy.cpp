// What operators, classes and budgets ask of the route supervisor.

#include "link_route_bench.hpp"

using namespace route_test;

TEST_CASE("drained, a link carries nothing new, keeps what it holds, and not even the last resort", "[link]") {
  bench b;
  b.settled();
  b.s.drain("fibre", true, b.now);
  b.act();
  CHECK(b.carriers() == "5g");
  CHECK(b.s.state_of("fibre") == link_state::drained);
  CHECK(b.events == std::vector<std::string>{"switched telemetry fibre>5g: fibre is drained"});
  b.down("5g");
  b.down("sat");
  CHECK(b.carriers().empty());
  b.s.drain("fibre", false, b.now);
  b.act();
  CHECK(b.carriers() == "fibre");
}

TEST_CASE("pinned, a link carries as long as it answers; unpinned, the better one comes back", "[link]") {
  bench b;
  b.settled();
  b.s.pin("sat", true, b.now);
  b.pass(200ms);
  CHECK(b.carriers() == "sat");
  CHECK(b.events.back() == "switched telemetry fibre>sat: sat is pinned");
  b.set("sat", health::degraded, "slow");
  b.pass(10min);
  CHECK(b.carriers() == "sat");
  b.down("sat");
  CHECK(b.carriers() == "fibre");
  b.up("sat");
  b.pass(1s);
  CHECK(b.carriers() == "sat");
  b.s.pin("fibre", false, b.now);  // it was not
  b.pass(31s);
  CHECK(b.carriers() == "sat");
  b.s.pin("sat", false, b.now);
  b.pass(31s);
  CHECK(b.carriers() == "fibre");
  b.s.pin("carrier pigeon", true, b.now);
  CHECK(b.s.state_of("carrier pigeon") == link_state::down);
}

TEST_CASE("a class over two links has two, and loses none when one is cut", "[link]") {
  bench b(three_links(), {{.name = "critical", .duplicate = true}});
  for (const auto* l : {"fibre", "5g", "sat"})
    b.up(l);
  b.pass(5min);
  CHECK(b.carriers("critical") == "fibre+5g");
  CHECK(b.s.route_of("critical").standby == "sat");
  b.set("fibre", health::suspect, "no answer");
  CHECK(b.carriers("critical") == "5g+sat");
  b.set("fibre", health::up, "answers");
  CHECK(b.carriers("critical").find("fibre+") == 0);
  b.down("5g");
  b.down("sat");
  CHECK(b.carriers("critical") == "fibre");
  b.up("sat");
  CHECK(b.carriers("critical") == "fibre+sat");
}

TEST_CASE("classes go only where they may, and each by its own budget rule (L41)", "[link]") {
  auto links = three_links();
  links[2].classes = {"critical", "telemetry"};
  bench b(links, {{.name = "critical", .spent = budget_rule::use_reserve},
                  {.name = "telemetry"},
                  {.name = "bulk"},
                  {.name = "alarm", .links = {"sat"}, .spent = budget_rule::ignore},
                  {.name = "local", .links = {"fibre"}}});
  b.up("sat");
  CHECK(b.carriers("critical") == "sat");
  CHECK(b.carriers("telemetry") == "sat");
  CHECK(b.carriers("bulk").empty());
  CHECK(b.carriers("alarm").empty());  // the link does not take it
  CHECK(b.carriers("local").empty());
  b.s.budget("sat", budget_level::warned, b.now);
  CHECK(b.carriers("telemetry") == "sat");
  b.s.budget("sat", budget_level::reserve, b.now);
  b.act();
  CHECK(b.carriers("telemetry").empty());
  CHECK(b.events.back() == "switched telemetry sat>: budget of sat is reserve");
  CHECK(b.carriers("critical") == "sat");
  b.s.budget("sat", budget_level::spent, b.now);
  CHECK(b.carriers("critical").empty());
  b.s.budget("sat", budget_level::ample, b.now);
  CHECK(b.carriers("critical") == "sat");
  CHECK(b.carriers("telemetry") == "sat");
}

TEST_CASE("a class that minds latency leaves a link above its threshold, the others stay", "[link]") {
  auto links = three_links();
  links[0].latency_threshold = 50ms;
  bench b(links, {{.name = "telemetry"}, {.name = "control", .latency_sensitive = true}});
  b.settled();
  REQUIRE(b.carriers("control") == "fibre");
  b.links["fibre"].round_trip = 60ms;
  b.pass(2s);
  CHECK(b.carriers("control") == "5g");
  CHECK(b.carriers() == "fibre");
  CHECK(b.events.back() == "switched control fibre>5g: round trip of fibre is 60 ms");
  b.links["fibre"].round_trip = 45ms;  // below, but not clearly
  b.pass(5min);
  CHECK(b.carriers("control") == "5g");
  b.links["fibre"].round_trip = 30ms;
  b.pass(40s);
  CHECK(b.carriers("control") == "fibre");
}

TEST_CASE("a link on demand is wanted as carrier, as standby, and while there is no other standby", "[link]") {
  auto links = three_links();
  links[2].on_demand = true;
  bench b(links);
  CHECK(b.s.wanted("sat"));
  b.up("fibre");
  b.up("5g");
  CHECK_FALSE(b.s.wanted("sat"));
  CHECK(b.s.wanted("5g"));
  b.down("fibre");
  CHECK(b.s.wanted("sat"));
  b.up("sat");
  CHECK(b.s.route_of("telemetry").standby == "sat");
  b.up("fibre");
  CHECK_FALSE(b.s.wanted("sat"));
  for (int i = 0; i < 3; ++i) {  // comes and goes because nobody needs it
    b.up("sat");
    b.down("sat");
  }
  CHECK_FALSE(b.s.suppressed("sat"));
}

TEST_CASE("a link on demand that is pinned is connected and carries; unpinned it rests again", "[link]") {
  auto links = three_links();
  links[2].on_demand = true;
  bench b(links);
  b.up("fibre");
  b.up("5g");
  b.pass(1min);
  REQUIRE_FALSE(b.s.wanted("sat"));
  b.s.pin("sat", true, b.now);
  CHECK(b.s.wanted("sat"));
  b.s.budget("sat", budget_level::spent, b.now);
  CHECK_FALSE(b.s.wanted("sat"));
  b.s.budget("sat", budget_level::ample, b.now);
  b.up("sat");
  b.pass(1s);
  CHECK(b.carriers() == "sat");
  b.s.pin("sat", false, b.now);
  b.pass(31s);
  CHECK(b.carriers() == "fibre");
  CHECK_FALSE(b.s.wanted("sat"));
}

TEST_CASE("a preferred link on demand is connected while another one carries, and comes back", "[link]") {
  auto links = three_links();
  links[0].on_demand = true;
  bench b(links);
  b.settled();
  b.down("fibre");
  REQUIRE(b.carriers() == "5g");
  REQUIRE(b.s.route_of("telemetry").standby == "sat");
  b.pass(10min);
  CHECK(b.s.wanted("fibre"));
  b.s.drain("fibre", true, b.now);
  CHECK_FALSE(b.s.wanted("fibre"));
  b.s.drain("fibre", false, b.now);
  b.up("fibre");
  b.pass(31s);
  CHECK(b.carriers() == "fibre");
}

TEST_CASE("a link on demand is not wanted for a class that it may not carry", "[link]") {
  auto links = three_links();
  links[2].on_demand = true;
  bench b(links, {{.name = "telemetry", .links = {"fibre", "5g"}}, {.name = "bulk", .links = {"fibre"}}});
  CHECK_FALSE(b.s.wanted("sat"));
  b.up("fibre");
  b.down("fibre");
  CHECK_FALSE(b.s.wanted("sat"));
}
