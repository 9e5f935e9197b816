// The dispatch plan with routes: which link gets what, and what goes over two.

#include "store_dispatch_support.hpp"

using namespace dispatch_test;

namespace {

dispatch_plan ready_links(const std::string& names, const holdfast::link::route& r, std::uint64_t window = 100'000) {
  dispatch_plan p(classes, 0);
  p.route("telemetry", r);
  for (const char c : names)
    p.link_ready(std::string(1, c), window);
  return p;
}

} // namespace

TEST_CASE("a class goes over its carrier only, whatever else is ready", "[store]") {
  auto p = ready_links("abc", {{"b"}, "", "a"}, 150);
  p.stored("telemetry", {1, 30});
  CHECK(steps(p) == orders{"b telemetry 1", "b telemetry 11"});
  p.link_down("b");
  CHECK(step(p) == "nothing");
  CHECK(p.live_records() == 0);  // nothing carries it: a backlog
  p.stored("telemetry", {31, 40});
  CHECK(p.backlog_records() == 40);
  p.stored("critical", {1, 10});  // has no route set
  CHECK(step(p) == "a critical 1");
  p.route("telemetry", {{"c"}, "", ""});
  CHECK(steps(p) == orders{"c telemetry 1 h", "c telemetry 11 h"});
}

TEST_CASE("a duplicate class goes over both carriers, and either may lead", "[store]") {
  auto p = ready_links("abc", {{"a", "b"}, "", "c"}, 150);
  p.stored("telemetry", {1, 40});
  CHECK(steps(p) == orders{"a telemetry 1", "a telemetry 11", "b telemetry 1", "b telemetry 11"});
  p.acknowledged("b", "telemetry", {1, 20}, start);
  CHECK(steps(p) == orders{"b telemetry 21", "b telemetry 31"});  // a has no room yet
  p.link_down("b");
  CHECK(p.backlog_records() == 20);
  p.acknowledged("a", "telemetry", {1, 20}, start);
  CHECK(steps(p) == orders{"a telemetry 21 h", "a telemetry 31 h"});
}

TEST_CASE("a link that goes down returns only what nobody else holds", "[store]") {
  auto p = ready_links("ab", {{"a", "b"}, "", ""});
  p.stored("telemetry", {1, 10});
  CHECK(steps(p) == orders{"a telemetry 1", "b telemetry 1"});
  p.link_down("a");
  CHECK(p.backlog_records() == 0);
  CHECK_FALSE(p.settled());
  p.link_down("b");
  CHECK(p.backlog_records() == 10);
}

TEST_CASE("a trial gets the same, what is on its way first", "[store]") {
  auto p = ready_links("ab", {{"b"}, "", "a"});
  p.stored("telemetry", {1, 20});
  CHECK(steps(p) == orders{"b telemetry 1", "b telemetry 11"});
  p.route("telemetry", {{"b"}, "a", ""});
  p.stored("telemetry", {21, 30});
  CHECK(steps(p) == orders{"a telemetry 1", "a telemetry 11", "b telemetry 21", "a telemetry 21"});
  p.route("telemetry", {{"a"}, "", "b"});  // it was good: nothing goes twice
  p.stored("telemetry", {31, 40});
  CHECK(steps(p) == orders{"a telemetry 31"});
}

TEST_CASE("what a suspected link holds goes over the next one, in order and before anything new", "[store]") {
  auto p = ready_links("ab", {{"a"}, "", "b"});
  p.add_backlog("telemetry", {1, 10});
  p.stored("telemetry", {11, 30});
  CHECK(steps(p) == orders{"a telemetry 11", "a telemetry 21", "a telemetry 1 h"});
  p.stored("telemetry", {31, 40});
  p.route("telemetry", {{"b"}, "", "a"});
  p.share("a");
  CHECK(steps(p) == orders{"b telemetry 11", "b telemetry 21", "b telemetry 31", "b telemetry 1 h"});
  SECTION("it answers after all") {
    p.acknowledged("a", "telemetry", {1, 30}, start);
    p.route("telemetry", {{"a"}, "", "b"});
    p.stored("telemetry", {41, 50});
    CHECK(steps(p) == orders{"a telemetry 31", "a telemetry 41"});  // or 41 would be there before 31
    p.acknowledged("b", "telemetry", {1, 40}, start);
    p.acknowledged("a", "telemetry", {31, 50}, start);
  }
  SECTION("it was dead") {
    p.release("a");
    CHECK(p.backlog_records() == 0);
    CHECK(step(p) == "nothing");
    p.acknowledged("b", "telemetry", {1, 40}, start);
  }
  CHECK(p.in_flight_bytes() == 0);
  CHECK_FALSE(p.oldest("telemetry"));
}

TEST_CASE("of two links that have a batch, one that no longer carries gives way, so that nothing newer overtakes", "[store]") {
  auto p = ready_links("abc", {{"b", "c"}, "", "a"});
  p.stored("telemetry", {1, 10});
  CHECK(steps(p) == orders{"b telemetry 1", "c telemetry 1"});
  p.route("telemetry", {{"a", "c"}, "", "b"});  // b is suspected
  p.share("b");
  p.stored("telemetry", {11, 20});
  CHECK(steps(p) == orders{"a telemetry 1", "a telemetry 11", "c telemetry 11"});
  CHECK(p.holders("telemetry", 1) == orders{"c", "a"});
  p.route("telemetry", {{"b", "c"}, "", "a"});  // it answers, and has the first on its way already
  CHECK(steps(p) == orders{"b telemetry 11"});
  CHECK(p.holders("telemetry", 1) == orders{"c", "b"});
  CHECK(p.acknowledged("b", "telemetry", {1, 20}, start).size() == 2);
  CHECK(p.in_flight_bytes("b") == 0);
}

TEST_CASE("what a link that no longer carries holds goes over both of its successors", "[store]") {
  auto p = ready_links("abc", {{"c"}, "", ""});
  p.stored("telemetry", {1, 10});
  CHECK(steps(p) == orders{"c telemetry 1"});
  p.route("telemetry", {{"a", "b"}, "", "c"});
  p.share("c");
  p.stored("telemetry", {11, 20});
  CHECK(steps(p) == orders{"a telemetry 1", "a telemetry 11", "b telemetry 1", "b telemetry 11"});
  CHECK(p.holders("telemetry", 1) == orders{"a", "b"});
  CHECK(p.acknowledged("b", "telemetry", {1, 20}, start).size() == 2);
}

TEST_CASE("a batch that comes back to a link which has it on its way fills its window once", "[store]") {
  auto p = ready_links("bc", {{"b", "c"}, "", ""});
  p.stored("telemetry", {1, 10});
  CHECK(steps(p) == orders{"b telemetry 1", "c telemetry 1"});
  p.link_ready("a", 100'000);
  p.route("telemetry", {{"a", "c"}, "", ""});
  CHECK(p.holders("telemetry", 1) == orders{"c"});
  p.link_down("c");
  p.route("telemetry", {{"b"}, "", ""});
  CHECK(steps(p) == orders{"b telemetry 1 h"});
  CHECK(p.in_flight_bytes("b") == 100);
  p.acknowledged("b", "telemetry", {1, 10}, start);
  CHECK(p.in_flight_bytes("b") == 0);
}

TEST_CASE("a released link gets nothing before it carries again", "[store]") {
  dispatch_plan p(classes, 20);
  p.link_ready("a", 1000);
  p.stored("telemetry", {1, 10});
  CHECK(step(p) == "a telemetry 1");
  p.release("a");
  CHECK(p.ready("a"));
  CHECK(p.in_flight_bytes() == 0);
  CHECK(step(p) == "nothing");
  CHECK(p.acknowledged("a", "telemetry", {1, 10}, start).empty());  // late, and nobody has it leased: a claim
  p.resume("a");
  CHECK(steps(p) == orders{"a telemetry 1 check"});
  p.acknowledged("a", "telemetry", {1, 10}, start);
  CHECK_FALSE(p.oldest("telemetry"));
}

TEST_CASE("a released link's late answer confirms what another holds, and the rest is compared", "[store]") {
  auto p = ready_links("ab", {{"a"}, "", "b"});
  p.stored("telemetry", {1, 20});
  CHECK(steps(p) == orders{"a telemetry 1", "a telemetry 11"});
  p.route("telemetry", {{"b"}, "", "a"});
  p.share("a");
  CHECK(step(p) == "b telemetry 1");
  p.release("a");
  CHECK(p.acknowledged("a", "telemetry", {1, 20}, start) == std::vector<seq_range>{{1, 10}});
  CHECK(p.in_flight_bytes("b") == 100);
  CHECK(steps(p) == orders{"b telemetry 11 check"});
  CHECK(p.acknowledged("b", "telemetry", {1, 20}, start) == std::vector<seq_range>{{11, 20}});
  CHECK(p.in_flight_bytes() == 0);
  CHECK_FALSE(p.oldest("telemetry"));
}

TEST_CASE("what a late answer claims holds nothing new up", "[store]") {
  auto p = ready_links("ab", {{"a"}, "", "b"});
  p.stored("telemetry", {1, 10});
  p.stored("critical", {1, 10});
  CHECK(steps(p) == orders{"a critical 1", "a telemetry 1"});
  p.release("a");
  p.route("telemetry", {{"b"}, "", "a"});
  p.stored("telemetry", {11, 20});
  p.acknowledged("a", "telemetry", {1, 10}, start);
  CHECK_FALSE(p.settled());  // no new epoch before it is answered
  CHECK(steps(p) == orders{"b telemetry 1 check", "b critical 1 h", "b telemetry 11"});
  p.acknowledged("b", "telemetry", {1, 20}, start);
  p.acknowledged("b", "critical", {1, 10}, start);
  CHECK(p.settled());
}

TEST_CASE("what a session begins with is compared before anything new goes", "[store]") {
  auto p = ready_links("ab", {{"a"}, "", "b"});
  p.add_backlog("telemetry", {1, 10});
  p.reconcile({{"telemetry", {{1, 10}}}});
  CHECK(step(p) == "a telemetry 1 check");
  p.stored("telemetry", {11, 20});
  CHECK(step(p) == "nothing");
  p.release("a");  // the one that was asked dies: another is
  p.route("telemetry", {{"b"}, "", "a"});
  CHECK(steps(p) == orders{"b telemetry 1 check"});
  p.acknowledged("b", "telemetry", {1, 10}, start);
  CHECK(step(p) == "b telemetry 11");
}

TEST_CASE("the late answer to a comparison that was given up sets nothing aside", "[store]") {
  using why = dispatch_plan::rejection;
  auto p = ready_links("a", {{"a"}, "", ""});
  p.add_backlog("telemetry", {1, 10});
  p.reconcile({{"telemetry", {{1, 10}}}});
  CHECK(step(p) == "a telemetry 1 check");
  p.release("a");
  p.resume("a");
  SECTION("compared again: two answers to come, the batch itself goes after the first") {
    CHECK(step(p) == "a telemetry 1 check");
    p.rejected("a", "telemetry", 1, why::missing, start);
    CHECK(step(p) == "a telemetry 1 h");
  }
  SECTION("another session says that it is not there: the batch goes") {
    p.reconcile({});
    CHECK(step(p) == "a telemetry 1 h");
  }
  p.rejected("a", "telemetry", 1, why::missing, start);
  CHECK(p.parked_records() == 0);
  CHECK(p.in_flight_bytes("a") == 100);
  p.acknowledged("a", "telemetry", {1, 10}, start);
  CHECK(p.settled());
  CHECK_FALSE(p.oldest("telemetry"));
}

TEST_CASE("a comparison on its way is not the batch on its way", "[store]") {
  auto p = ready_links("abc", {{"a", "b"}, "", ""});
  p.add_backlog("telemetry", {1, 10});
  p.reconcile({{"telemetry", {{1, 10}}}});
  CHECK(step(p) == "a telemetry 1 check");
  p.share("a");
  CHECK(step(p) == "b telemetry 1 check");
  p.route("telemetry", {{"a", "c"}, "", ""});  // b's gives way
  p.rejected("a", "telemetry", 1, dispatch_plan::rejection::missing, start);
  CHECK(steps(p) == orders{"a telemetry 1 h", "c telemetry 1 h"});
  const auto late = [&] { p.rejected("b", "telemetry", 1, dispatch_plan::rejection::missing, start); };
  SECTION("its answer comes before b carries again") {
    late();
    CHECK(p.in_flight_bytes("b") == 0);
    p.route("telemetry", {{"b"}, "", ""});
    CHECK(steps(p) == orders{"b telemetry 1 h"});
  }
  SECTION("or after that") {
    p.route("telemetry", {{"b"}, "", ""});
    CHECK(steps(p) == orders{"b telemetry 1 h"});
    late();
  }
  CHECK(p.in_flight_bytes("b") == 100);
  CHECK(p.acknowledged("b", "telemetry", {1, 10}, start).size() == 1);
}

TEST_CASE("acknowledged over both links, a batch is confirmed once and frees both windows (L39)", "[store]") {
  auto p = ready_links("ab", {{"a"}, "", "b"}, 200);
  p.stored("telemetry", {1, 20});
  CHECK(steps(p) == orders{"a telemetry 1", "a telemetry 11"});
  p.route("telemetry", {{"b"}, "", "a"});  // a's acknowledgements do not arrive
  p.share("a");
  CHECK(steps(p) == orders{"b telemetry 1", "b telemetry 11"});
  SECTION("they do later") { CHECK(p.acknowledged("a", "telemetry", {1, 10}, start).size() == 1); }
  SECTION("they do after a was given up") { p.release("a"); }
  const auto first = p.acknowledged("b", "telemetry", {1, 20}, start);
  const auto second = p.acknowledged("a", "telemetry", {1, 20}, start);
  CHECK(first.back() == seq_range{11, 20});
  CHECK(second.empty());
  CHECK(p.in_flight_bytes() == 0);
  CHECK(p.settled());
  CHECK_FALSE(p.oldest("telemetry"));
}

TEST_CASE("comparisons and gaps go over any link where no carrier is ready, and to another when one is suspected",
          "[store]") {
  dispatch_plan p({{"telemetry", 100}}, 20);
  p.opened("telemetry", 40);
  p.add_backlog("telemetry", {21, 40});
  p.route("telemetry", {});
  p.link_ready("a", 1000);
  p.reconcile({{"telemetry", {{11, 30}}}});
  CHECK(step(p) == "a telemetry 21 check");
  CHECK(step(p) == "nothing");
  p.link_ready("b", 1000);
  p.reconcile({{"telemetry", {{11, 30}}}});
  CHECK(step(p) == "nothing");
  p.route("telemetry", {{"b"}, "", ""});
  p.share("a");
  CHECK(step(p) == "b telemetry 21 check");
  p.acknowledged("b", "telemetry", {21, 30}, start);
  CHECK(steps(p) == orders{"b telemetry 1 gap", "b telemetry 31 h"});
}

TEST_CASE("a copy that cannot be made is not asked for again", "[store]") {
  auto p = ready_links("ab", {{"a", "b"}, "", ""});
  p.stored("telemetry", {1, 10});
  step(p);
  const auto o = p.next();
  REQUIRE(o);
  CHECK((o->copy && o->link == "b" && o->todo == seq_range{1, 10}));
  p.skipped(*o);
  CHECK(step(p) == "nothing");
}
