// One destination's board: what links say, and what the plan, the journal and the outside see of it.

#include "store_route_bench.hpp"

using namespace route_board_test;

TEST_CASE("the first link by priority carries, the others stand by", "[store]") {
  bench b(site({"a", "b", "c"}));
  b.pass(10s);
  CHECK(b.traffic() == strings{"a 1"});
  CHECK(b.report("a").state() == "active");
  CHECK(b.report("a").carries(0) == "telemetry");
  CHECK(b.report("a").in_flight_bytes() == 100);
  CHECK(b.report("b").state() == "standby");
  CHECK(b.report("c").state() == "standby");
  CHECK(b.board.order("b").connect());
}

TEST_CASE("a suspected link is left at once, and traffic returns when it answers", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  b.traffic();
  b.acknowledge("a");
  b.t.now += 100ms;
  b.said.clear();
  b.traffic();
  b.say("a", health::HEALTH_SUSPECT, "200 ms");
  CHECK(b.traffic() == strings{"b 11", "b 21"});
  CHECK(b.report("a").state() == "suspect");
  CHECK(b.all().switches().rbegin()->kind() == "diverted");
  b.t.now += 20ms;
  SECTION("it was false") {
    b.say("a", health::HEALTH_UP, "answers");
    CHECK(b.traffic() == strings{"a 21", "a 31"});
    CHECK(b.said == strings{"diverted a>b", "returned b>a"});
    CHECK(b.all().switches().rbegin()->kind() == "returned");
  }
  SECTION("it was true") {
    b.acknowledge("b");
    b.say("a", health::HEALTH_DOWN, "silence");
    CHECK(b.traffic() == strings{"b 31"});
    CHECK(b.said == strings{"diverted a>b", "switched a>b"});
    const auto last = *b.all().switches().rbegin();
    CHECK((last.kind() == "switched" && last.from() == "a" && last.to() == "b"));
    CHECK(last.gap_micros() == 120'000);
    CHECK(b.journals["centre"].switches().rbegin()->gap_micros() == 120'000);
  }
}

TEST_CASE("what a dead link held returns at once, its session standing or not", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  b.traffic();
  SECTION("its uplink says down") { b.say("a", health::HEALTH_DOWN, "carrier lost"); }
  SECTION("its session is over") { b.board.down("a", "reset by peer", b.t); }
  SECTION("its uplink is a new one") { b.board.attached("a", 7, b.t); }
  CHECK(b.traffic(0) == strings{"b 1 h"});
  CHECK(b.board.plan.in_flight_bytes("a") == 0);
  CHECK_FALSE(b.report("a").cause().empty());
}

TEST_CASE("an uplink that says nothing any more counts as down", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  b.traffic();
  b.silent.insert("a");
  b.pass(3s);
  CHECK(b.traffic(0).empty());
  b.pass(500ms);
  CHECK(b.traffic(0) == strings{"b 1 h"});
  CHECK(b.report("a").cause() == "no word from its uplink for 3 s");
  b.silent.clear();
  b.pass(500ms);
  CHECK(b.report("a").state() == "standby");
}

TEST_CASE("a broken link is told since when it does not work, however often it is tried", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  b.say("a", health::HEALTH_DOWN, "no route");
  for (int i = 0; i < 10; ++i) {
    b.pass(5s);
    b.say("a", health::HEALTH_CONNECTING);
    b.pass(1s);
    b.say("a", i % 2 == 0 ? health::HEALTH_DOWN : health::HEALTH_CIRCUIT_OPEN, "connection refused");
  }
  CHECK(b.report("a").since_millis() == 60'000);
  CHECK(b.report("a").cause() == "connection refused");
  b.say("a", health::HEALTH_UP);
  b.pass(1s);
  CHECK(b.report("a").since_millis() == 1000);
  CHECK(b.report("b").since_millis() == 61'000);
}

TEST_CASE("a store that slept itself does not blame the uplinks", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  b.traffic();
  b.t.now += 10s;
  b.board.tick(b.t);
  CHECK(b.report("a").state() == "active");
}

TEST_CASE("an older uplink that sends no status carries as its session stands", "[store]") {
  auto c = site({"a"});
  const store::moment t{link::time_point{} + 1h, 0};
  route_board board(c, "centre", {}, t);
  board.attached("a", 1, t);
  CHECK(board.order("a").state() == "connecting");
  board.ready("a", 1000, t);
  CHECK(board.order("a").state() == "active");
  board.plan.stored("telemetry", {1, 10});
  REQUIRE(board.plan.next());
  board.tick({t.now + 1min, 0});
  CHECK(board.order("a").state() == "active");
  board.down("a", "closed by the other end", t);
  CHECK_FALSE(board.plan.next());
}

TEST_CASE("traffic returns to an older uplink's link too", "[store]") {
  auto c = site({"a", "b"});
  store::moment t{link::time_point{} + 1h, 0};
  route_board board(c, "centre", {}, t);
  board.ready("b", 1000, t);
  board.ready("a", 1000, t);
  CHECK(board.order("b").state() == "active");
  for (int i = 0; i < 80; ++i, t.now += 500ms)
    board.tick(t);
  CHECK(board.order("a").state() == "active");
}

TEST_CASE("a new epoch ends every session and is no flap of any link", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  for (int i = 0; i < 5; ++i) {
    b.board.renewed(b.t);
    CHECK(b.report("a").cause() == "the store has a new epoch");
    for (const auto* l : {"a", "b"}) {
      b.board.attached(l, bench::session(l), b.t);
      b.board.ready(l, 1 << 20, b.t);
      b.say(l, health::HEALTH_UP);
    }
    b.pass(1s);
    CHECK_FALSE(b.report("a").suppressed());
    CHECK(b.report("a").state() == "active");
  }
}

TEST_CASE("after a start or a new epoch the link that comes first does not keep the preferred one's traffic", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  const auto come = [&](const std::string& link) {
    b.board.attached(link, bench::session(link), b.t);
    b.board.ready(link, 1 << 20, b.t);
    b.say(link, health::HEALTH_UP);
  };
  SECTION("a new epoch") { b.board.renewed(b.t); }
  SECTION("a start") { b.board = route_board(b.c, "centre", {}, b.t); }
  come("b");
  b.head = 0;
  CHECK(b.traffic() == strings{"b 1"});
  b.t.now += 300ms;
  come("a");
  CHECK(b.traffic() == strings{"a 1", "b 11", "a 11"});  // first what is on its way
  b.t.now += 10ms;
  b.acknowledge("a");
  CHECK(b.report("a").state() == "active");
  CHECK(b.report("b").state() == "standby");
}

TEST_CASE("a link that is up without a session with the store carries nothing", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  b.board.down("a", "the store came back", b.t);
  b.say("a", health::HEALTH_UP);
  CHECK(b.traffic() == strings{"b 1"});
  CHECK(b.report("a").state() == "connecting");
}

TEST_CASE("traffic returns to a better link after its hold time, over both for a moment", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  b.say("a", health::HEALTH_DOWN);
  b.pass(1s);
  b.say("a", health::HEALTH_UP);
  b.said.clear();
  b.pass(29s);
  CHECK(b.traffic() == strings{"b 1"});
  b.pass(1500ms);
  CHECK(b.traffic() == strings{"a 1", "b 11", "a 11"});  // the trial
  CHECK(b.report("a").carries_size() == 0);
  b.acknowledge("b");
  CHECK(b.said.empty());
  b.pass(500ms);
  b.acknowledge("a");
  CHECK(b.said == strings{"switched b>a"});
  CHECK(b.traffic() == strings{"a 21"});
}

TEST_CASE("a class that finds no room on the link of its trial does not damp that link", "[store]") {
  auto c = site({"a", "b"});
  c.classes.push_back({.name = "bulk", .priority = 200});
  bench b(c);
  auto& plan = b.board.plan;
  b.pass(10s);
  b.say("a", health::HEALTH_DOWN);
  b.pass(20min);
  b.say("a", health::HEALTH_UP);
  b.pass(29s);
  b.said.clear();
  b.traffic();
  b.pass(1500ms);
  REQUIRE(plan.next()->link == "a");
  plan.leased(*plan.next(), {1, 10}, 2 << 20, b.t.now);  // more than its window
  for (std::uint64_t first = 1; first < 600; first += 10) {
    plan.stored("bulk", {first, first + 9});
    CHECK(b.traffic(0) == strings{"b " + std::to_string(first)});
    b.board.acknowledged("b", "bulk", {first, first + 9}, b.t);
    b.pass(1s);
  }
  CHECK(b.said.empty());
  b.board.acknowledged("a", "telemetry", {1, 10}, b.t);
  plan.stored("bulk", {601, 610});
  CHECK(b.traffic(0) == strings{"b 601", "a 601"});
  b.board.acknowledged("a", "bulk", {601, 610}, b.t);
  b.collect();
  CHECK(b.said == strings{"switched b>a", "switched b>a"});
}

TEST_CASE("a class for which its old link has no room moves to a link that is idle", "[store]") {
  auto c = site({"b", "a"});
  c.links[0].classes = {"bulk"};
  c.classes.push_back({.name = "bulk", .priority = 200});
  bench b(c);
  auto& plan = b.board.plan;
  b.say("b", health::HEALTH_DOWN);
  b.pass(20min);
  plan.add_backlog("telemetry", {1, 10'000});
  plan.add_backlog("bulk", {1, 20});
  plan.leased(*plan.next(), {1, 10}, 2 << 20, b.t.now);  // more than the window of a
  b.say("b", health::HEALTH_UP);
  b.said.clear();
  for (std::uint64_t first = 1; first < 620; first += 10) {  // a is busy with telemetry's backlog all the time
    CHECK(b.said.empty());
    CHECK(plan.holders("bulk", 1).empty());
    b.board.acknowledged("a", "telemetry", {first, first + 9}, b.t);
    REQUIRE(plan.next()->record_class == "telemetry");
    plan.leased(*plan.next(), {first + 10, first + 19}, 2 << 20, b.t.now);
    b.pass(500ms);
  }
  b.pass(2s);
  CHECK(b.said == strings{"switched a>b"});
  CHECK(b.traffic(0) == strings{"b 1 h", "b 11 h"});
}

TEST_CASE("a duplicate class goes over two links, and a cut costs nothing", "[store]") {
  auto c = site({"a", "b", "c"});
  c.classes[0].duplicate = true;
  bench b(std::move(c));
  b.pass(10s);
  CHECK(b.traffic() == strings{"a 1", "b 1"});
  b.say("a", health::HEALTH_SUSPECT);
  b.say("a", health::HEALTH_DOWN);
  CHECK(b.traffic(0) == strings{"c 1"});  // a had it, and does not any more
  CHECK(b.traffic() == strings{"b 11", "c 11"});
}

TEST_CASE("a class's own share of the backlog reaches the plan", "[store]") {
  auto c = site({"fibre"});
  c.store.backlog_share = 10;
  c.classes[0].backlog_share = 50;
  bench b(c);
  auto& plan = b.board.plan;
  plan.add_backlog("telemetry", {1, 10'000});
  plan.stored("telemetry", {10'001, 20'000});
  int historical = 0;
  for (int n = 0; n < 400; ++n) {
    const auto o = plan.next();
    REQUIRE(o);
    historical += o->how == store::dispatch_plan::kind::backlog;
    plan.leased(*o, {o->todo.first, o->todo.first + 9}, 100, {});
  }
  CHECK(historical == Approx(200).margin(15));
}
