// One destination's board: what links say, and what the plan, the journal and the outside see of it.

#include "services/store/control.hpp"
#include "services/store/drain_forecast.hpp"
#include "services/store/route_board.hpp"
#include "storage_support.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using store::route_board;
using health = v1::LinkStatus;
using command = v1::LinkCommand;

namespace {

config::gateway site(const std::vector<std::string>& names) {
  config::gateway c;
  c.classes = {{.name = "telemetry", .priority = 100}};
  c.destinations = {{.name = "centre"}};
  for (auto& n : names) {
    auto& l = c.links.emplace_back();
    l.name = n;
    l.destination = "centre";
    l.priority = static_cast<unsigned>(c.links.size());
  }
  return c;
}

/// The board on a clock of its own, and what it said.
struct bench {
  config::gateway c;
  store::moment t{link::time_point{} + 1h, 1'700'000'000'000'000'000};
  route_board board;
  std::vector<std::string> said;
  std::map<std::string, v1::LinkRow> rows;
  std::map<std::string, v1::JournalRow> journals;
  std::map<std::string, std::uint64_t> proofs;
  std::map<std::string, std::uint64_t> wire;
  std::set<std::string> silent;
  std::uint64_t head = 0;

  explicit bench(config::gateway g, const route_board::kept& k = {}, std::map<std::string, std::uint64_t> counters = {})
      : c(std::move(g)), board(c, "centre", k, t), wire(std::move(counters)) {
    for (auto& l : c.links) {
      board.attached(l.name, session(l.name), t);
      board.ready(l.name, 1 << 20, t);
      say(l.name, health::HEALTH_UP);
    }
    collect();
  }
  static std::uint64_t session(const std::string& link) { return std::hash<std::string>()(link) | 1; }

  void say(const std::string& link, health::Health h, const std::string& cause = "test", std::uint64_t bytes = 0) {
    v1::LinkStatus s;
    s.set_link(link);
    s.set_session(session(link));
    s.set_health(h);
    s.set_cause(cause);
    s.set_proofs(++proofs[link]);
    s.set_wire_bytes(wire[link] += bytes);
    states[link] = h;
    board.status(s, t);
    collect();
  }
  void pass(std::chrono::milliseconds d) {
    for (const auto end = t.now + d; t.now < end;) {
      t.now += 500ms;
      t.unix_nanos += 500'000'000;
      for (auto& l : c.links)
        if (!silent.contains(l.name))
          say(l.name, states[l.name]);
      board.tick(t);
      collect();
    }
  }
  /// Stores ten records and carries out every order; tells it as "link first[ h]".
  std::vector<std::string> traffic(std::uint64_t records = 10) {
    if (records > 0)
      board.plan.stored("telemetry", {head + 1, head + records});
    head += records;
    std::vector<std::string> out;
    while (auto o = board.plan.next()) {
      const seq_range r{o->todo.first, std::min(o->todo.last, o->todo.first + 9)};
      board.plan.leased(*o, r, 100, t.now);
      out.push_back(o->link + " " + std::to_string(r.first) + (o->how == store::dispatch_plan::kind::backlog ? " h" : ""));
    }
    return out;
  }
  void acknowledge(const std::string& link) {
    board.acknowledged(link, "telemetry", {1, head}, t);
    collect();
  }
  void collect() {
    auto e = board.take(t);
    for (auto& s : e.switches)
      said.push_back(s.kind() + " " + s.from() + ">" + s.to());
    for (auto& [name, row] : e.rows)
      rows[name] = row;
    if (e.journal)
      journals["centre"] = *e.journal;
  }
  v1::LinkReport report(const std::string& link) {
    v1::LinksReply r;
    board.fill(r, t);
    for (auto& l : r.links())
      if (l.name() == link)
        return l;
    return {};
  }
  v1::LinksReply all() {
    v1::LinksReply r;
    board.fill(r, t);
    return r;
  }

private:
  std::map<std::string, health::Health> states;
};

using strings = std::vector<std::string>;

} // namespace

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
  b.board.command("b", command::WHAT_PIN, b.t);
  b.pass(3s);
  CHECK(b.report("b").pinned());
  CHECK_FALSE(b.report("c").pinned());
  CHECK_FALSE(b.rows.at("c").pinned());
  b.board.command("c", command::WHAT_UNPIN, b.t);
  CHECK(b.report("b").pinned());
  CHECK(bench(b.c, {b.rows, {}}).report("b").pinned());
  b.say("b", health::HEALTH_DOWN);
  CHECK(b.report("a").state() == "active");
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

TEST_CASE("what the store answers about its links", "[store]") {
  const auto c = site({"a", "b"});
  v1::LinksReply view;
  for (int i = 0; i < 5; ++i)
    view.add_switches()->set_unix_nanos(i);
  std::vector<std::string> ordered;
  const auto ask = [&](const v1::ControlRequest& r, bool mine = true) {
    v1::ControlReply reply;
    CHECK(store::answer_links(c.links, [&] { return view; },
                              [&](const command& o) { ordered.push_back(o.link()); }, r, reply) == mine);
    return reply;
  };
  v1::ControlRequest r;
  r.mutable_links()->set_switches(2);
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

TEST_CASE("the drain forecast follows the rate at which a backlog shrinks", "[store]") {
  store::drain_forecast f;
  auto now = store::drain_forecast::clock::time_point{} + 1h;
  CHECK(f.seconds() == 0);
  std::uint64_t backlog = 100'000;
  for (int i = 0; i < 120; ++i, backlog -= 500, now += 500ms)
    f.sample(backlog, now);
  CHECK(f.seconds() == Approx(40).epsilon(0.05));
  for (int i = 0; i < 120; ++i, now += 500ms)
    f.sample(backlog += 100, now);
  CHECK(f.seconds() == -1);
  f.sample(0, now);
  CHECK(f.seconds() == 0);
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
