// What operators and budgets ask of the links, and what the store answers.

#include "services/store/control.hpp"
#include "store_route_bench.hpp"

using namespace route_board_test;

TEST_CASE("a drained link finishes what it has and is not wanted then", "[store]") {
  bench b(site({"a", "b"}));
  b.pass(10s);
  b.traffic();
  b.board.command("a", command::WHAT_DRAIN, b.t);
  b.collect();
  CHECK(b.report("a").state() == "drained");
  CHECK(b.board.order("a").connect());
  b.traffic();
  b.acknowledge("a");
  b.acknowledge("b");
  b.pass(500ms);
  CHECK_FALSE(b.board.order("a").connect());
  CHECK(b.rows.at("a").drained());
  bench next(b.c, {b.rows, b.journals});
  CHECK(next.report("a").state() == "drained");
  CHECK(next.traffic() == strings{"b 1"});
  next.acknowledge("b");
  CHECK(next.all().switches_size() == b.all().switches_size() + 1);
  next.board.command("a", command::WHAT_UNDRAIN, next.t);
  CHECK(next.board.order("a").connect());
  next.pass(40s);
  CHECK(next.report("a").state() == "active");
}

TEST_CASE("a pinned link carries while it answers, and only one is pinned", "[store]") {
  bench b(site({"a", "b", "c"}));
  b.pass(10s);
  b.board.command("c", command::WHAT_PIN, b.t);
  b.pass(3s);
  CHECK(b.traffic() == strings{"c 1"});
  b.acknowledge("c");
  b.board.command("b", command::WHAT_PIN, b.t);
  b.pass(3s);
  CHECK(b.report("b").pinned());
  CHECK_FALSE(b.report("c").pinned());
  CHECK_FALSE(b.rows.at("c").pinned());
  CHECK(b.board.command("c", command::WHAT_UNPIN, b.t) == "failed to unpin link 'c': b is pinned");
  CHECK(b.report("b").pinned());
  CHECK(bench(b.c, {b.rows, {}}).report("b").pinned());
  b.say("b", health::HEALTH_DOWN);
  CHECK(b.report("a").state() == "active");
  CHECK(b.board.command("b", command::WHAT_UNPIN, b.t).empty());
  b.collect();
  CHECK_FALSE(b.rows.at("b").pinned());
  CHECK(b.board.command("b", command::WHAT_UNPIN, b.t) == "failed to unpin link 'b': none is pinned");
}

TEST_CASE("a budget that is spent sends traffic elsewhere, and lasts over restarts", "[store]") {
  auto c = site({"a", "b"});
  c.links[0].budget_day = {1000};
  bench b(c);
  b.pass(10s);
  b.say("a", health::HEALTH_UP, "test", 500);
  CHECK(b.rows.at("a").used_day() == 500);
  b.say("a", health::HEALTH_UP, "test", 100);
  CHECK(b.rows.at("a").used_day() == 500);  // once a minute
  CHECK(b.report("a").budget() == "ample");
  b.pass(60s);
  CHECK(b.rows.at("a").used_day() == 600);
  b.say("a", health::HEALTH_UP, "test", 250);
  CHECK(b.report("a").budget() == "warned");
  CHECK(b.rows.at("a").used_day() == 850);  // another level: at once
  CHECK(b.report("b").budget().empty());

  bench next(c, {b.rows, {}}, b.wire);  // the uplink lived on: nothing counts twice
  next.say("a", health::HEALTH_UP);
  CHECK(next.report("a").used_day_bytes() == 850);
  next.pass(10s);
  CHECK(next.traffic() == strings{"a 1"});
  next.say("a", health::HEALTH_UP, "test", 110);
  CHECK(next.report("a").budget() == "reserve");
  CHECK(next.said.back() == "switched a>b");
  CHECK(next.board.order("a").connect());
  next.say("a", health::HEALTH_UP, "test", 100);
  CHECK_FALSE(next.board.order("a").connect());
  next.t.unix_nanos += 86'400'000'000'000;
  next.pass(500ms);
  CHECK(next.report("a").budget() == "ample");
  CHECK(next.board.order("a").connect());
}

TEST_CASE("a batch larger than what is left of a budget is told of", "[store]") {
  auto c = site({"a", "b"});
  c.links[0].budget_day = {100'000};
  bench b(c);
  const store::dispatch_plan::order large{"a", "telemetry", {1, 1}, store::dispatch_plan::kind::live};
  const std::string text = "a batch takes up to 169070 bytes on the wire, more than is left of the budget";
  const auto told = [&] { return b.report("a").cause().find(text) != std::string::npos; };
  CHECK_FALSE(told());
  CHECK_FALSE(b.board.charge(large, 150'000, b.t));
  CHECK(b.report("a").budget() == "reserve");
  CHECK(told());
  CHECK(b.report("b").cause().find(text) == std::string::npos);
  b.t.unix_nanos += 86'400'000'000'000;
  b.pass(500ms);
  CHECK_FALSE(told());
  CHECK(b.board.charge(large, 50'000, b.t));
  CHECK_FALSE(told());
}

TEST_CASE("what the store answers about its links", "[store]") {
  const auto c = site({"a", "b"});
  v1::LinksReply view;
  for (int i = 0; i < 5; ++i)
    view.add_switches()->set_unix_nanos(i);
  std::vector<std::string> ordered;
  const auto ask = [&](const v1::ControlRequest& r, bool mine = true) {
    v1::ControlReply got;
    const auto order = [&](const command& o, const store::control_answer& answer) {
      ordered.push_back(o.link());
      v1::ControlReply done;
      done.set_ok(true);
      answer(done);
    };
    CHECK(store::answer_links(c.links, [&] { return view; }, order, r, [&](auto& reply) { got = reply; }) == mine);
    return got;
  };
  v1::ControlRequest r;
  r.mutable_links()->set_switches(2);
  CHECK(ask(r).error() == "failed to tell of the links: the store is starting");
  CHECK_FALSE(ask(r).has_links());
  view.add_links()->set_name("a");
  CHECK(ask(r).ok());
  CHECK(ask(r).links().switches_size() == 2);
  CHECK(ask(r).links().switches(1).unix_nanos() == 4);
  r.mutable_links()->set_switches(0);
  CHECK(ask(r).links().switches_size() == 5);
  r.mutable_link()->set_link("x");
  r.mutable_link()->set_what(command::WHAT_DRAIN);
  CHECK(ask(r).error() == "failed to command link 'x': there is a, b");
  r.mutable_link()->set_link("b");
  CHECK(ask(r).ok());
  CHECK(ordered == strings{"b"});
  r.mutable_link()->set_what(command::WHAT_UNSPECIFIED);
  CHECK_FALSE(ask(r).ok());
  r.mutable_stop();
  ask(r, false);
}
