// The route supervisor when links come and go, or all are bad.

#include "link_route_bench.hpp"

using namespace route_test;

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

TEST_CASE("what ends a session by our own doing is no flap", "[link]") {
  bench b;
  b.settled();
  for (int i = 0; i < 5; ++i) {
    for (const auto* l : {"fibre", "5g", "sat"}) {
      b.links[l] = {.health = health::connecting, .cause = "the store has a new epoch", .ours = true};
      b.s.report(l, b.links[l], b.now);
    }
    b.act();
    CHECK(b.carriers().empty());
    for (const auto* l : {"fibre", "5g", "sat"}) {
      b.links[l].ours = false;
      b.up(l);
    }
    CHECK(b.carriers() == "fibre");
    CHECK_FALSE(b.s.suppressed("fibre"));
  }
}

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
