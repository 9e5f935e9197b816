#include "common/link/route_supervisor.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>

using namespace holdfast::link;
using namespace std::chrono_literals;

namespace {

using type = route_supervisor::action::type;

std::vector<link_options> three_links() {
  return {{.name = "fibre", .priority = 10, .route = fibre().route, .damping = fibre().damping},
          {.name = "5g", .priority = 20, .route = five_g().route, .damping = five_g().damping},
          {.name = "sat", .priority = 30, .route = satellite().route, .damping = satellite().damping}};
}

/// A supervisor and its clock. Links that can carry answer one probe per second; carriers and trials deliver.
struct bench {
  route_supervisor s;
  time_point now = time_point{} + 1h;
  std::map<std::string, link_report> links;
  std::vector<std::string> events;  // "switched telemetry fibre>5g: why"
  std::vector<std::string> classes;
  bool delivering = true;

  explicit bench(std::vector<link_options> l = three_links(), std::vector<class_options> c = {{.name = "telemetry"}})
      : s(std::move(l), c) {
    for (auto& o : c)
      classes.push_back(o.name);
  }
  void act() {
    static const char* names[] = {"switched", "diverted", "returned", "release", "share"};
    for (const auto& a : s.take())
      events.push_back(std::string(names[static_cast<int>(a.what)]) + " " + a.record_class + " " + a.from + ">" + a.to
                       + ": " + a.cause);
  }
  void set(const std::string& link, health h, const std::string& cause = "") {
    auto& r = links[link];
    r.health = h;
    r.cause = cause;
    s.report(link, r, now);
    act();
  }
  void up(const std::string& link) { set(link, health::up, "session stands"); }
  void down(const std::string& link) { set(link, health::down, "silent"); }
  void pass(clock::duration d) {
    for (const auto end = now + d; now < end;) {
      now = std::min(end, now + 100ms);
      s.tick(now);
      for (auto& [name, r] : links)
        if (carries(r.health) && r.health != health::suspect && (now - time_point{}) % 1s == 0s) {
          ++r.proofs;
          s.report(name, r, now);
        }
      deliver();
      act();
    }
  }
  void deliver() {
    for (const auto& c : classes) {
      const auto route = s.route_of(c);
      for (auto& [name, r] : links)
        if (delivering && (holds(route.carriers, name) || route.trial == name)
            && (r.health == health::up || r.health == health::degraded))
          s.carried(name, c, now);
    }
  }
  static bool holds(const std::vector<std::string>& v, const std::string& n) {
    return std::find(v.begin(), v.end(), n) != v.end();
  }
  /// All links up and proved, traffic on fibre.
  bench& settled() {
    for (const auto* l : {"fibre", "5g", "sat"})
      up(l);
    pass(5min);
    REQUIRE(carriers() == "fibre");
    events.clear();
    return *this;
  }
  std::string carriers(const std::string& c = "telemetry") const {
    std::string out;
    for (const auto& l : s.route_of(c).carriers)
      out += (out.empty() ? "" : "+") + l;
    return out;
  }
  int count(const std::string& what) const {
    return static_cast<int>(std::count_if(events.begin(), events.end(),
                                          [&](const std::string& e) { return e.find(what) == 0; }));
  }
};

} // namespace

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
  for (int i = 0; i < 25; ++i) {
    b.s.carried("5g", "telemetry", b.now);
    b.pass(100ms);
  }
  CHECK(b.s.route_of("telemetry").trial.empty());
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
  b.pass(33s);
  CHECK(b.carriers() == "fibre");
}

TEST_CASE("a working link is never dropped for one that is only connecting, or has just begun (L35)", "[link]") {
  bench b;
  b.settled();
  b.down("fibre");
  b.events.clear();
  for (int i = 0; i < 60; ++i) {  // accepts, and stalls
    b.set("fibre", health::connecting);
    b.pass(2s);
    b.up("fibre");
    b.pass(4s);
    b.set("fibre", health::suspect);
    b.pass(500ms);
    b.down("fibre");
    b.pass(3500ms);
    REQUIRE(b.carriers() == "5g");
  }
  CHECK(b.count("switched") == 0);
  CHECK(b.s.suppressed("fibre"));
  b.up("fibre");
  b.pass(20min);
  CHECK(b.carriers() == "fibre");
  CHECK(b.count("switched") == 1);
}

TEST_CASE("when all links were dead, the first to return carries at once, in every order (L37)", "[link]") {
  std::vector<std::string> order = {"5g", "fibre", "sat"};
  do {
    bench b;
    b.settled();
    for (const auto& l : order)
      b.down(l);
    CHECK(b.carriers().empty());
    CHECK(b.events.back() == "switched telemetry " + order.back() + ">: " + order.back() + " down: silent");
    b.pass(1h);
    for (std::size_t i = 0; i < order.size(); ++i) {
      b.up(order[i]);
      CHECK(b.carriers() == order[0]);
      b.pass(1s);
    }
    b.events.clear();
    b.pass(10min);
    CHECK(b.carriers() == "fibre");
    CHECK(b.count("switched") == (order[0] == "fibre" ? 0 : 1));
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("when everything is bad the least bad link carries", "[link]") {
  bench b;
  b.settled();
  b.set("fibre", health::degraded, "5 % of packets lost");
  b.pass(1s);
  CHECK(b.carriers() == "5g");
  b.set("5g", health::degraded, "slow");
  b.set("sat", health::suspect, "no answer");
  b.pass(5min);
  CHECK(b.carriers() == "5g");
  b.set("5g", health::suspect, "no answer");
  CHECK(b.carriers() == "fibre");
  b.set("fibre", health::suspect, "no answer");
  CHECK(b.carriers() == "fibre");
  b.down("fibre");
  CHECK_FALSE(b.carriers().empty());
  b.down("5g");
  CHECK(b.carriers() == "sat");  // suspect, but nothing else is there
  b.set("sat", health::circuit_open, "open");
  CHECK(b.carriers().empty());
  CHECK(b.s.state_of("sat") == link_state::circuit_open);
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

TEST_CASE("a primary that flaps for 10 min causes at most 4 switches, and returns within 15 min", "[link]") {
  for (const auto period : {5s, 10s, 45s, 70s}) {
    bench b;
    b.settled();
    const auto begin = b.now;
    while (b.now < begin + 10min) {
      b.set("fibre", health::suspect, "no answer");
      b.pass(100ms);
      b.down("fibre");
      b.pass(period / 2);
      b.up("fibre");
      b.pass(period - period / 2 - 100ms);
    }
    CAPTURE(period, b.events);
    CHECK(b.count("switched") <= 4);
    b.pass(15min + 33s);
    CHECK(b.carriers() == "fibre");
    CHECK(b.count("switched") <= 5);
  }
}

TEST_CASE("a link that is suspected again and again is left until it rests", "[link]") {
  bench b;
  b.settled();
  for (int i = 0; i < 10; ++i) {
    b.set("fibre", health::suspect, "no answer");
    b.pass(100ms);
    b.up("fibre");
    b.pass(900ms);
  }
  CHECK(b.carriers() == "5g");
  CHECK(b.count("diverted") <= 4);
  CHECK(b.count("switched") == 1);
}

TEST_CASE("a suppressed link is still the last resort", "[link]") {
  bench b;
  b.settled();
  for (int i = 0; i < 3; ++i) {
    b.down("fibre");
    b.up("fibre");
  }
  CHECK(b.s.suppressed("fibre"));
  CHECK(b.carriers() == "5g");
  b.down("5g");
  b.down("sat");
  CHECK(b.carriers() == "fibre");
}

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

TEST_CASE("a link on demand is not wanted for a class that it may not carry", "[link]") {
  auto links = three_links();
  links[2].on_demand = true;
  bench b(links, {{.name = "telemetry", .links = {"fibre", "5g"}}, {.name = "bulk", .links = {"fibre"}}});
  CHECK_FALSE(b.s.wanted("sat"));
  b.up("fibre");
  b.down("fibre");
  CHECK_FALSE(b.s.wanted("sat"));
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

// -- damping ----------------------------------------------------------------------------------------------------------

TEST_CASE("a penalty halves with its half-life, and suppression ends within 15 min of the last flap", "[link]") {
  flap_damping d({});
  const auto start = time_point{} + 1h;
  d.penalise(1000, start);
  CHECK_FALSE(d.suppressed(start));
  CHECK(d.penalty(start + 300s) == Approx(500));
  for (int i = 0; i < 1000; ++i)
    d.penalise(1000, start);
  CHECK(d.suppressed(start + 899s));
  CHECK_FALSE(d.suppressed(start + 901s));
  CHECK(seconds(d.reuse_at() - start).count() == Approx(900));
  d.penalise(100, start + 901s);  // below reuse it had to come: now it counts from there
  CHECK_FALSE(d.suppressed(start + 901s));
}
