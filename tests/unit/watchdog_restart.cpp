#include "watchdog_host.hpp"

#include <catch2/catch.hpp>

using namespace test;

TEST_CASE("services start in order", "[watchdog][restart]") {
  host h(3);
  CHECK(h.look() == "+a +b +c ");
  CHECK(h.policy.restarts(0) == 0);
  CHECK(h.pass(10min, 1s).empty());
}

TEST_CASE("the first restart is at once, the next ones back off up to the cap", "[watchdog][restart]") {
  config::watchdog w;
  w.intensity = 1000;
  w.backoff_cap = 500ms;
  host h(2, w);
  h.look();
  CHECK(h.exits(1) == "bwaits0 +b ");
  for (const auto wait : {100, 200, 400, 500, 500}) {
    CHECK(h.exits(1) == fmt::format("bwaits{} ", wait));
    CHECK(h.policy.phase_of(1) == phase::waiting);
    CHECK(h.policy.next_due() == h.now + milliseconds(wait));
    CHECK(h.pass(milliseconds(wait - 10)).empty());
    CHECK(h.pass(10ms) == "+b ");
  }
  CHECK(h.policy.restarts(1) == 6);
  CHECK(h.policy.restarts(0) == 0);
}

TEST_CASE("an exit with code 0 that nobody asked for is a failure", "[watchdog][restart]") {
  host h(1);
  h.look();
  CHECK(h.exits(0, clean) == "awaits0 +a ");
  CHECK(h.exits(0, exit_status{}) == "awaits100 ");
}

TEST_CASE("a stable life resets the backoff", "[watchdog][restart]") {
  host h(1);
  h.look();
  h.exits(0);
  h.exits(0);
  h.pass(100ms);
  CHECK(h.policy.phase_of(0) == phase::running);
  SECTION("long enough") {
    h.pass(60s, 1s);
    CHECK(h.exits(0) == "awaits0 +a ");
  }
  SECTION("even when no tick saw it") {
    h.now += 60s;
    CHECK(h.exits(0) == "awaits0 +a ");
  }
  SECTION("not long enough") {
    h.pass(59s, 1s);
    CHECK(h.exits(0) == "awaits200 ");
  }
}

TEST_CASE("too many failures lead to quarantine: one start per quarantine time", "[watchdog][restart]") {
  config::watchdog w;
  w.intensity = 3;
  w.stable = 100s;
  host h(2, w);
  h.look();
  for (int i = 0; i < 3; ++i) {
    h.exits(0);
    h.pass(1s);
  }
  CHECK_FALSE(h.policy.quarantined(0));
  CHECK(h.exits(0) == "awaits59200 aquarantined ");  // it had lived 800 ms
  CHECK(h.policy.quarantined(0));
  CHECK_FALSE(h.policy.quarantined(1));
  CHECK(h.pass(59190ms).empty());
  CHECK(h.pass(10ms) == "+a ");
  SECTION("another failure is told, the alarm is not raised again") {
    CHECK(h.pass(20s, 1s).empty());
    CHECK(h.exits(0) == "awaits40000 ");
    CHECK(h.pass(40s, 1s) == "+a ");
  }
  SECTION("a stable life ends it") {
    CHECK(h.pass(99s, 1s).empty());
    CHECK(h.pass(1s, 1s) == "arecovered ");
    CHECK_FALSE(h.policy.quarantined(0));
    CHECK(h.exits(0) == "awaits0 +a ");
  }
  SECTION("a life longer than the quarantine, not yet stable, is followed by a start at once") {
    h.pass(80s, 1s);
    CHECK(h.exits(0) == "awaits0 +a ");
    CHECK(h.policy.quarantined(0));
  }
}

TEST_CASE("failures that are spread over more than the period do not add up", "[watchdog][restart]") {
  config::watchdog w;
  w.intensity = 2;
  w.period = 10s;
  host h(1, w);
  h.look();
  for (int i = 0; i < 12; ++i) {
    h.exits(0);
    h.pass(36s, 100ms);
  }
  CHECK_FALSE(h.policy.quarantined(0));
}

TEST_CASE("hopeless exit codes go straight to slow retries", "[watchdog][restart]") {
  host h(1);
  h.look();
  const auto how = GENERATE(bad_config, already_running);
  CHECK(h.exits(0, how) == "awaits60000 aquarantined ");
  CHECK(h.pass(59s, 1s).empty());
  CHECK(h.pass(1s, 1s) == "+a ");
  CHECK(h.exits(0, how) == "awaits60000 ");
}

TEST_CASE("what the log says about hopeless exits tells what to do", "[watchdog][restart]") {
  restart_policy p({}, 1, 1s);
  const time_point t{};
  p.start(t);
  p.started(0, t);
  p.take();
  p.exited(0, bad_config, t);
  const auto actions = p.take();
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].reason == "exited with code 78: its configuration is wrong, see its log or holdfastctl check");
  CHECK(crash.text() == "killed by SIGSEGV");
  CHECK(exit_status{}.text() == "ended (adopted, cause unknown)");
}

TEST_CASE("a service that met its predecessor's end starts again at once", "[watchdog][restart]") {
  restart_policy p({}, 1, 1s);
  const time_point t{};
  p.start(t);
  p.started(0, t);
  p.take();
  p.exited(0, already_running, t, true);
  const auto actions = p.take();
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].what == action::type::failed);
  CHECK(actions[0].reason == "exited with code 73: its predecessor was still ending");
  CHECK(actions[0].wait == 0ms);
  CHECK(actions[1].what == action::type::start);
}

TEST_CASE("a program that cannot be started is a failure", "[watchdog][restart]") {
  config::watchdog w;
  w.intensity = 2;
  host h(1, w);
  h.look();
  h.startable = false;
  CHECK(h.exits(0) == "awaits0 +a awaits100 ");
  CHECK(h.pass(100ms) == "+a awaits60000 aquarantined ");
  h.startable = true;
  CHECK(h.pass(60s, 100ms) == "+a ");
}

TEST_CASE("one for one leaves the others alone", "[watchdog][restart]") {
  host h(3);
  h.look();
  CHECK(h.exits(0) == "awaits0 +a ");
  CHECK(h.exits(2) == "cwaits0 +c ");
}

TEST_CASE("rest for one stops all that come later, from the right, and starts them again", "[watchdog][restart]") {
  host h(4, rest_for_one());
  h.look();
  CHECK(h.exits(1) == "bwaits0 -d ");
  CHECK(h.exits(3, clean) == "dended -c ");
  CHECK(h.pass(100ms).empty());
  CHECK(h.exits(2, clean) == "cended +b +c +d ");
  SECTION("those others have not failed") {
    CHECK(h.exits(3) == "dwaits0 +d ");
  }
  SECTION("the last one fails alone") {
    CHECK(h.exits(3) == "dwaits0 +d ");
  }
  SECTION("one that does not stop is killed after stop_grace") {
    CHECK(h.exits(0) == "awaits0 -d ");
    CHECK(h.pass(10s) == "#d ");
    CHECK(h.exits(3) == "dended -c ");
  }
  SECTION("while the backoff lasts the others go on") {
    CHECK(h.exits(1) == "bwaits100 ");
    CHECK(h.pass(90ms).empty());
    CHECK(h.pass(10ms) == "-d ");
  }
}
