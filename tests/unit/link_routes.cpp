// The route supervisor: who carries, who follows, and when traffic returns.

#include "link_route_bench.hpp"

#include <random>

using namespace route_test;

TEST_CASE("the first link that can carry does, and the preferred one takes over after its hold", "[link]") {
  bench b;
  CHECK(b.carriers().empty());
  b.set("fibre", health::connecting);
  b.up("5g");
  CHECK(b.carriers() == "5g");
  CHECK(b.s.state_of("5g") == link_state::active);
  CHECK(b.s.route_of("telemetry").standby == "fibre");
  b.pass(20s);
  b.up("fibre");
  b.pass(29s);
  CHECK(b.carriers() == "5g");
  b.pass(2s);
  CHECK(b.carriers() == "fibre");
  CHECK(b.s.state_of("5g") == link_state::standby);
  CHECK(b.events == std::vector<std::string>{"switched telemetry >5g: first link that can carry",
                                             "switched telemetry 5g>fibre: fibre has been healthy for 30 s"});
}

TEST_CASE("after a start the order in which links come decides nothing, where they worked before", "[link]") {
  bench b;
  b.links["5g"].proofs = b.links["fibre"].proofs = 1000;  // the uplinks lived on
  b.set("fibre", health::connecting);
  b.up("5g");
  b.pass(1s);
  REQUIRE(b.carriers() == "5g");
  SECTION("the preferred one comes a moment later") {
    b.up("fibre");
    CHECK(b.s.route_of("telemetry").trial == "fibre");
    b.pass(200ms);
    CHECK(b.carriers() == "fibre");
    CHECK(b.events.back() == "switched telemetry 5g>fibre: fibre is preferred and worked before");
    b.pass(10min);
    CHECK(b.count("switched") == 2);
  }
  SECTION("it comes with a new uplink") {
    b.links["fibre"].proofs = 0;
    b.up("fibre");
    b.pass(1900ms);
    CHECK(b.carriers() == "5g");
    CHECK(b.s.route_of("telemetry").trial.empty());
  }
  SECTION("it fails and works again in that time") {
    b.up("fibre");
    b.pass(200ms);
    REQUIRE(b.carriers() == "fibre");
    b.set("fibre", health::down);
    REQUIRE(b.carriers() == "5g");
    b.up("fibre");
    b.pass(1500ms);
    CHECK(b.carriers() == "5g");
    CHECK(b.s.route_of("telemetry").trial.empty());
  }
  SECTION("it comes later than that") {
    b.pass(10s);
    b.up("fibre");
    b.pass(29s);
    CHECK(b.carriers() == "5g");
  }
}

TEST_CASE("a suspected link is left at once, its leases shared, and returned to as soon as it answers", "[link]") {
  bench b;
  b.settled();
  b.set("fibre", health::suspect, "no answer for 60 ms");
  CHECK(b.carriers() == "5g");
  b.pass(20ms);
  b.set("fibre", health::up, "answers again after 20 ms");
  CHECK(b.carriers() == "fibre");
  CHECK(b.events == std::vector<std::string>{"share  fibre>: no answer for 60 ms",
                                             "diverted telemetry fibre>5g: fibre suspect: no answer for 60 ms",
                                             "returned telemetry 5g>fibre: fibre answers again after 20 ms"});
}

TEST_CASE("a link that is down gives its leases back and is returned to once, after its hold and a trial", "[link]") {
  bench b;
  b.settled();
  b.set("fibre", health::suspect, "no answer for 60 ms");
  b.down("fibre");
  CHECK(b.events.at(2) == "release  fibre>: silent");
  CHECK(b.events.at(3) == "switched telemetry fibre>5g: fibre down: silent");
  b.pass(10min);
  b.events.clear();
  b.up("fibre");
  b.delivering = false;
  b.pass(29900ms);
  CHECK(b.s.route_of("telemetry").trial.empty());
  b.pass(100ms);
  CHECK(b.s.route_of("telemetry").trial == "fibre");  // beside the old one
  CHECK(b.carriers() == "5g");
  b.delivering = true;
  b.pass(100ms);
  CHECK(b.carriers() == "fibre");
  CHECK(b.s.route_of("telemetry").trial.empty());
  CHECK(b.s.route_of("telemetry").standby == "5g");
  b.pass(1h);
  CHECK(b.count("switched") == 1);
  CHECK(b.count("release") == 0);  // the old link keeps what it holds until it is acknowledged
}

TEST_CASE("a trial that carries nothing while the old link does fails, and the hold begins anew", "[link]") {
  bench b;
  b.settled();
  b.down("fibre");
  b.pass(10min);
  b.up("fibre");
  b.delivering = false;
  b.pass(30s);
  REQUIRE(b.s.route_of("telemetry").trial == "fibre");
  b.s.offered("telemetry", b.now);
  b.pass(5s);
  CHECK(b.s.route_of("telemetry").trial == "fibre");  // what stands still is the other end
  for (int i = 0; i < 25; ++i) {
    CHECK(b.s.route_of("telemetry").trial.empty() == (i >= 20));
    b.s.carried("5g", "telemetry", b.now);
    b.pass(100ms);
  }
  CHECK(b.carriers() == "5g");
  b.delivering = true;
  b.pass(27s);
  CHECK(b.carriers() == "5g");
  b.pass(10s);
  CHECK(b.carriers() == "fibre");
}

TEST_CASE("with nothing to carry a trial ends well when its time is over", "[link]") {
  bench b;
  b.settled();
  b.down("fibre");
  b.pass(10min);
  b.delivering = false;
  b.up("fibre");
  b.pass(31900ms);
  b.s.idle("telemetry", b.now);
  CHECK(b.carriers() == "5g");
  b.pass(100ms);
  const auto before = b.s.revision();
  b.s.idle("telemetry", b.now);
  CHECK(b.carriers() == "fibre");
  CHECK(b.s.revision() > before);
}

TEST_CASE("a trial over which nothing of the class went is not judged, however long", "[link]") {
  bench b;
  b.settled();
  b.down("fibre");
  b.pass(20min);
  b.up("fibre");
  b.delivering = false;
  b.pass(30s);
  b.events.clear();
  const bool old_one_carries = GENERATE(true, false);
  for (int i = 0; i < 3000; ++i) {  // what goes over it is another class's
    if (old_one_carries)
      b.s.carried("5g", "telemetry", b.now);
    b.pass(100ms);
    if (old_one_carries)
      b.s.idle("telemetry", b.now);  // for a moment
    REQUIRE(b.s.route_of("telemetry").trial == "fibre");
  }
  CHECK_FALSE(b.s.suppressed("fibre"));
  CHECK(b.events.empty());
  b.s.offered("telemetry", b.now);
  b.s.carried("fibre", "telemetry", b.now);
  CHECK(b.carriers() == "fibre");
}

TEST_CASE("two suspected links: the first that answers carries", "[link]") {
  bench b;
  b.settled();
  b.set("fibre", health::suspect, "no answer");
  b.set("5g", health::suspect, "no answer");
  CHECK(b.carriers() == "sat");
  b.set("sat", health::suspect, "no answer");
  b.set("5g", health::up, "answers again");
  CHECK(b.carriers() == "5g");
  b.set("fibre", health::up, "answers again");
  CHECK(b.carriers() == "fibre");
}

TEST_CASE("an uplink that restarts has to prove its link anew", "[link]") {
  bench b;
  b.settled();
  b.down("fibre");
  b.set("5g", health::degraded, "slow");
  b.down("sat");
  b.up("fibre");
  auto fresh = b.links["fibre"];
  fresh.proofs = 0;  // a new process counts from the beginning
  b.s.report("fibre", fresh, b.now += 6s);
  CHECK(b.s.route_of("telemetry").trial.empty());
  fresh.proofs = 3;
  b.s.report("fibre", fresh, b.now);
  CHECK(b.s.route_of("telemetry").trial == "fibre");
}

TEST_CASE("whatever happens, what can carry does, and nothing else", "[link]") {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    std::mt19937_64 dice(seed);
    const auto any = [&](unsigned n) { return static_cast<unsigned>(dice() % n); };
    bench b(three_links(), {{.name = "telemetry"}, {.name = "critical", .duplicate = true, .latency_sensitive = true}});
    const std::vector<std::string> names = {"fibre", "5g", "sat"};
    std::map<std::string, bool> drained;
    for (int step = 0; step < 400; ++step) {
      const auto& link = names[any(3)];
      switch (any(8)) {
        case 0: b.s.drain(link, drained[link] = any(4) == 0, b.now); break;
        case 1: b.s.pin(link, any(2) == 0, b.now); break;
        case 2: b.delivering = any(4) != 0; break;
        case 3: b.pass(std::chrono::seconds(any(90))); break;
        default: b.set(link, static_cast<health>(any(6)), "chance");
      }
      if (any(3) == 0)
        b.pass(milliseconds(any(500)));
      b.act();
      const bool possible = std::any_of(names.begin(), names.end(), [&](const std::string& n) {
        return carries(b.links[n].health) && !drained[n];
      });
      for (const auto& c : b.classes) {
        const auto& r = b.s.route_of(c);
        INFO("seed " << seed << " step " << step << " " << c);
        REQUIRE(r.carriers.empty() == !possible);
        for (const auto& n : r.carriers)
          REQUIRE((carries(b.links[n].health) && !drained[n]));
        REQUIRE((r.carriers.size() < 2 || (c == "critical" && r.carriers[0] != r.carriers[1])));
        REQUIRE((r.trial.empty() || (!r.carriers.empty() && r.trial != r.carriers[0])));
        REQUIRE_FALSE(bench::holds(r.carriers, r.standby));
      }
    }
  }
}

TEST_CASE("the revision counts changes of routes and nothing else, and deadlines lie ahead", "[link]") {
  bench b;
  b.settled();
  const auto before = b.s.revision();
  b.pass(1min);
  CHECK(b.s.revision() == before);
  b.down("fibre");
  CHECK(b.s.revision() == before + 1);
  b.up("fibre");
  REQUIRE(b.s.next_deadline());
  CHECK(*b.s.next_deadline() == b.now + 5s);
}
