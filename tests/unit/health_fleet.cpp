#include "health_support.hpp"

#include <catch2/catch.hpp>

using namespace health_test;
using health::fleet;
using health::presence;
using namespace std::chrono_literals;

namespace {

fleet small_fleet() { return fleet("plant", "0.1.0", {{"store", true, false}, {"watchdog", false, false}, {"health", true, true}}); }

} // namespace

TEST_CASE("health: a service is up while its heartbeats arrive, and silent after 2 s", "[health]") {
  auto f = small_fleet();
  speaker store{"store"};
  CHECK(judge(member(f, "store"), 0ms) == presence::unknown);
  REQUIRE(f.take(store.heartbeat(), at(1000)));
  CHECK(judge(member(f, "store"), 3000ms) == presence::up);
  CHECK(judge(member(f, "store"), 3001ms) == presence::silent);
  REQUIRE(f.take(store.heartbeat(), at(5000)));
  CHECK(judge(member(f, "store"), 5000ms) == presence::up);
  CHECK(member(f, "store").pid == 42);
  CHECK(member(f, "store").loops.at(0).limit == 2000ms);
}

TEST_CASE("health: a service that said it stops is stopped, not silent", "[health]") {
  auto f = small_fleet();
  speaker store{"store"};
  speaker dog{"watchdog"};
  f.take(store.heartbeat("stopping"), at(0));
  CHECK(judge(member(f, "store"), 5000ms) == presence::stopped);
  f.take(store.heartbeat("running"), at(6000));
  CHECK(judge(member(f, "store"), 9000ms) == presence::silent);
  v1::ProcessEvent stopped;
  stopped.set_process("store");
  stopped.set_what("stopped");
  stopped.set_restarts(3);
  REQUIRE(f.take(dog.say("process", stopped), at(9000)));
  CHECK(judge(member(f, "store"), 9000ms) == presence::stopped);
  CHECK(member(f, "store").process->restarts == 3);
}

TEST_CASE("health: holes in the numbers are lost messages, repeats change nothing", "[health]") {
  auto f = small_fleet();
  speaker store{"store", 7};
  store.seq["heartbeat"] = 99;  // we came in late: not a loss
  REQUIRE(f.take(store.heartbeat(), at(0)));
  CHECK(member(f, "store").lost == 0);
  store.seq["heartbeat"] += 4;
  const auto late = store.heartbeat("degraded: x");
  REQUIRE(f.take(late, at(250)));
  CHECK(member(f, "store").lost == 4);
  REQUIRE(f.take(store.alarm("a", true), at(250)));  // another topic has its own numbers
  CHECK(member(f, "store").lost == 4);
  CHECK(f.take(late, at(9000)));
  CHECK(member(f, "store").last_heartbeat == 250ms);
  CHECK(member(f, "store").received == 3);
}

TEST_CASE("health: a new incarnation starts with nothing of the old one", "[health]") {
  auto f = small_fleet();
  speaker first{"store", 1};
  first.seq["heartbeat"] = 500;
  f.take(first.heartbeat(), at(0));
  f.take(first.alarm("store_full", true), at(0));
  f.take(first.state("link:main", "active"), at(0));
  f.take(first.figure("holdfast_x", 1), at(0));
  CHECK(member(f, "store").alarms.size() == 1);
  speaker second{"store", 2};
  f.take(second.heartbeat(), at(1000));
  auto& i = member(f, "store");
  CHECK(i.lives == 2);
  CHECK(i.lost == 0);
  CHECK(i.alarms.empty());
  CHECK(i.components.empty());
  CHECK(i.metrics == nullptr);
}

TEST_CASE("health: garbage is counted for its sender and changes nothing", "[health]") {
  auto f = small_fleet();
  speaker store{"store"};
  const auto good = store.heartbeat();
  const blob junk(std::string("\xff\xff\xff\xff"));
  speaker other{"acquisition"};
  const auto others = other.heartbeat();
  const std::vector<std::vector<blob>> under_its_name{
    {good[0], good[1]},
    {good[0], junk, good[2]},
    {good[0], blob(), good[2]},
    {good[0], good[1], good[2], good[2]},
    {good[0], others[1], others[2]},  // another one's envelope
    {good[0], good[1], junk},         // a payload that is not what the envelope says
  };
  for (auto& parts : under_its_name)
    CHECK_FALSE(f.take(parts, at(0)));
  const std::vector<std::vector<blob>> under_nobodys{{}, {junk}, {blob(std::string("heartbeat."))}, others,
                                                     speaker{"health"}.heartbeat()};
  for (auto& parts : under_nobodys)
    CHECK_FALSE(f.take(parts, at(0)));
  CHECK(member(f, "store").malformed == under_its_name.size());
  CHECK(member(f, "watchdog").malformed == 0);
  CHECK_FALSE(member(f, "store").heard);
  CHECK(f.snapshot(at(0))->unattributed == under_nobodys.size());
}

TEST_CASE("health: what a peer can make us remember is bounded", "[health]") {
  auto f = small_fleet();
  speaker store{"store"};
  f.take(store.heartbeat(std::string(5000, 'x')), at(0));
  CHECK(member(f, "store").state.size() < 600);
  for (int n = 0; n < 2000; ++n) {
    f.take(store.alarm("alarm" + std::to_string(n), true, std::string(2000, 'y')), at(n));
    f.take(store.state("component" + std::to_string(n), "up"), at(n));
  }
  CHECK(member(f, "store").alarms.size() == 512);
  CHECK(member(f, "store").components.size() == 512);
  const auto p = f.snapshot(at(2000));
  CHECK(p->journal.size() == fleet::journal_limit);
  CHECK(p->journal.back().text.size() < 600);
  // No half character where a text was cut.
  std::string wide;
  for (int n = 0; n < 400; ++n)
    wide += "\xC3\xA4";
  f.take(store.heartbeat("x" + wide), at(0));
  CHECK(member(f, "store").state.size() == 502);
}

TEST_CASE("health: reasons name what is missing, silent or not running", "[health]") {
  auto f = small_fleet();
  speaker store{"store"};
  speaker dog{"watchdog"};
  f.keep_self(at(0), 1, 0ms, {}, nullptr);
  REQUIRE(f.snapshot(at(0))->reasons().size() == 1);
  CHECK(f.snapshot(at(0))->reasons()[0].text == "not heard yet");
  f.take(store.heartbeat(), at(0));
  CHECK(f.snapshot(at(0))->reasons().empty());
  f.take(store.heartbeat("degraded: store full"), at(250));
  CHECK(f.snapshot(at(250))->reasons()[0].text == "degraded: store full");
  f.take(store.heartbeat(), at(500));
  f.take(dog.heartbeat(), at(500));
  CHECK(f.snapshot(at(500))->reasons().empty());
  f.take(store.heartbeat(), at(4000));
  const auto r = f.snapshot(at(4000))->reasons();
  REQUIRE(r.size() == 1);  // not called for, but it was there
  CHECK(r[0].instance == "watchdog");
  CHECK(r[0].text == "silent for 3.5 s");
}

TEST_CASE("health: the status is asked for once, again after a loss, and once a minute", "[health]") {
  auto f = small_fleet();
  speaker store{"store"};
  CHECK_FALSE(f.status_due(0ms));  // nobody is there
  f.take(store.heartbeat(), at(0));
  CHECK(f.status_due(0ms));
  CHECK_FALSE(f.status_due(250ms));  // asked; gives them time
  v1::ControlReply reply;
  reply.set_ok(true);
  reply.mutable_status()->set_instance("store");
  auto& c = *reply.mutable_status()->add_components();
  c.set_name("link:main");
  c.set_state("active");
  c.set_since_millis(100);
  REQUIRE(f.take_status(std::vector<blob>{blob(reply.SerializeAsString())}, at(300)));
  CHECK(member(f, "store").components.at("link:main").since == 200ms);
  f.take(store.heartbeat(), at(6000));
  CHECK_FALSE(f.status_due(6000ms));
  store.seq["heartbeat"] += 1;
  f.take(store.heartbeat(), at(6500));
  CHECK(f.status_due(6500ms));
  f.take_status(std::vector<blob>{blob(reply.SerializeAsString())}, at(6500));
  f.take(store.heartbeat(), at(66500));
  CHECK(f.status_due(66500ms));
  CHECK_FALSE(f.take_status(std::vector<blob>{blob(std::string("\xff"))}, at(66500)));
  CHECK(f.snapshot(at(66500))->unattributed == 1);
}

TEST_CASE("health: coming and going is in the journal", "[health]") {
  auto f = small_fleet();
  speaker store{"store"};
  f.turn(at(0));
  f.take(store.heartbeat(), at(100));
  f.turn(at(100));
  f.turn(at(3000));
  const auto p = f.snapshot(at(3000));
  REQUIRE(p->journal.size() == 2);
  CHECK(p->journal[0].text == "unknown -> up");
  CHECK(p->journal[1].text == "up -> silent");
}
