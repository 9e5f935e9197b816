#include "services/watchdog/restart_policy.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

using namespace holdfast;
using namespace holdfast::watchdog;
using namespace std::chrono_literals;

namespace {

const exit_status crash{.code = {}, .signal = 11};
const exit_status clean{.code = 0, .signal = {}};
const exit_status bad_config{.code = 78, .signal = {}};
const exit_status already_running{.code = 73, .signal = {}};

/// A host of services a, b, c ... on a clock of its own. Starts succeed at once unless told otherwise.
struct host {
  restart_policy policy;
  time_point now = time_point{} + 1h;
  bool startable = true;
  std::string told;  // what happened since the last look: "+a" start, "-a" SIGTERM, "!a" abort, "#a" kill, ...

  explicit host(std::size_t n, config::watchdog limits = {}, milliseconds budget = 9000ms) : policy(limits, n, budget) {
    policy.start(now);
    settle();
  }

  void settle() {
    for (auto actions = policy.take(); !actions.empty(); actions = policy.take())
      for (auto& a : actions)
        carry_out(a);
  }

  void carry_out(const action& a) {
    static const std::string marks = "+-!#";
    const char who = static_cast<char>('a' + a.service);
    switch (a.what) {
      case action::type::failed: told += fmt::format("{}waits{} ", who, a.wait.count()); break;
      case action::type::ended: told += fmt::format("{}ended ", who); break;
      case action::type::quarantined: told += fmt::format("{}quarantined ", who); break;
      case action::type::recovered: told += fmt::format("{}recovered ", who); break;
      case action::type::all_gone: told += "gone "; break;
      default: told += fmt::format("{}{} ", marks[static_cast<std::size_t>(a.what)], who);
    }
    if (a.what == action::type::start) {
      if (startable)
        policy.started(a.service, now);
      else
        policy.start_failed(a.service, "failed to start: no such file", now);
    }
  }

  std::string look() { return std::exchange(told, {}); }

  /// Time passes in steps; the policy ticks.
  std::string pass(milliseconds d, milliseconds step = 10ms) {
    for (milliseconds t{0}; t < d; t += step) {
      now += step;
      policy.tick(now);
      settle();
    }
    return look();
  }

  std::string exits(std::size_t i, const exit_status& how = crash) {
    policy.exited(i, how, now);
    settle();
    return look();
  }

  template <class F> std::string after(F event) {
    event();
    settle();
    return look();
  }
};

config::watchdog rest_for_one() {
  config::watchdog w;
  w.strategy = config::restart_strategy::rest_for_one;
  return w;
}

} // namespace

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

TEST_CASE("a hung service is aborted, killed after abort_grace, and counts as failed", "[watchdog][restart]") {
  host h(2);
  h.look();
  CHECK(h.after([&] { h.policy.hung(0, "loop writer", false, h.now); }) == "!a ");
  CHECK(h.policy.next_due() == h.now + 300ms);
  CHECK(h.after([&] { h.policy.hung(0, "again", false, h.now); }).empty());
  SECTION("abort does it") {
    CHECK(h.exits(0) == "awaits0 +a ");
    CHECK(h.pass(1s).empty());
  }
  SECTION("it takes a kill") {
    CHECK(h.pass(290ms).empty());
    CHECK(h.pass(10ms) == "#a ");
    CHECK(h.pass(5s).empty());
    CHECK(h.exits(0) == "awaits0 +a ");
    CHECK(h.exits(0) == "awaits100 ");
  }
}

TEST_CASE("a frozen service is killed at once", "[watchdog][restart]") {
  host h(1);
  h.look();
  CHECK(h.after([&] { h.policy.hung(0, "no heartbeat", true, h.now); }) == "#a ");
  CHECK(h.exits(0) == "awaits0 +a ");
}

TEST_CASE("a wanted restart is no failure", "[watchdog][restart]") {
  host h(2);
  h.look();
  for (int i = 0; i < 30; ++i) {
    CHECK(h.after([&] { h.policy.restart(0, h.now); }) == "-a ");
    CHECK(h.after([&] { h.policy.restart(0, h.now); }).empty());
    CHECK(h.exits(0, clean) == "aended +a ");
  }
  CHECK(h.policy.restarts(0) == 30);
  CHECK(h.exits(0) == "awaits0 +a ");
}

TEST_CASE("a wanted restart ends any waiting", "[watchdog][restart]") {
  host h(1);
  h.look();
  h.exits(0, bad_config);
  CHECK(h.after([&] { h.policy.restart(0, h.now); }) == "+a ");
  CHECK(h.pass(2min, 10s) == "arecovered ");
}

TEST_CASE("a wanted restart that is not obeyed ends in a kill and a start", "[watchdog][restart]") {
  host h(2);
  h.look();
  CHECK(h.after([&] { h.policy.restart(0, h.now); }) == "-a ");
  CHECK(h.exits(1) == "bwaits0 +b ");  // one for one: nobody waits for a
  CHECK(h.pass(9990ms).empty());
  CHECK(h.pass(10ms) == "#a ");
  CHECK(h.exits(0) == "aended +a ");
}

TEST_CASE("stop ends the services in reverse order, one after another", "[watchdog][restart]") {
  host h(3);
  h.look();
  CHECK(h.after([&] { h.policy.stop(h.now); }) == "-c ");
  CHECK(h.pass(1s).empty());
  CHECK(h.exits(2, clean) == "cended -b ");
  CHECK(h.exits(1, crash) == "bended -a ");
  CHECK(h.exits(0, clean) == "aended gone ");
  CHECK(h.after([&] { h.policy.stop(h.now); }).empty());
  CHECK(h.after([&] { h.policy.restart(0, h.now); }).empty());
  CHECK(h.pass(5min, 1s).empty());
}

TEST_CASE("stop is over within its budget, whatever the services do", "[watchdog][restart]") {
  host h(3, {}, 4000ms);
  h.look();
  const auto began = h.now;
  CHECK(h.after([&] { h.policy.stop(h.now); }) == "-c ");
  CHECK(h.policy.next_due() == began + 2s);
  CHECK(h.pass(1990ms).empty());
  CHECK(h.pass(10ms) == "-b -a ");
  CHECK(h.exits(0, clean) == "aended ");
  CHECK(h.policy.next_due() == began + 4s);
  CHECK(h.pass(1990ms).empty());
  CHECK(h.pass(10ms) == "#c #b ");
  h.exits(1);
  CHECK(h.exits(2) == "cended gone ");
}

TEST_CASE("stop kills each service after its own grace", "[watchdog][restart]") {
  config::watchdog w;
  w.stop_grace = 500ms;
  host h(2, w);
  h.look();
  h.policy.stop(h.now);
  h.settle();
  CHECK(h.pass(500ms) == "-b #b ");
  CHECK(h.exits(1) == "bended -a ");
}

TEST_CASE("stop while services wait, hang and restart", "[watchdog][restart]") {
  host h(3);
  h.look();
  h.exits(0, bad_config);
  h.policy.hung(1, "loop", false, h.now);
  h.policy.restart(2, h.now);
  h.settle();
  h.look();
  CHECK(h.after([&] { h.policy.stop(h.now); }).empty());
  CHECK(h.exits(2, clean) == "cended ");
  CHECK(h.pass(300ms) == "#b ");
  CHECK(h.exits(1) == "bended gone ");
}

TEST_CASE("stop with nothing running is over at once", "[watchdog][restart]") {
  host h(1);
  h.look();
  h.exits(0, bad_config);
  CHECK(h.after([&] { h.policy.stop(h.now); }) == "gone ");
}

TEST_CASE("an adopted process brings its age with it", "[watchdog][restart]") {
  restart_policy p({}, 1, 1s);
  const time_point t = time_point{} + 1h;
  p.start(t);
  p.take();
  p.started(0, t - 2min);
  for (int i = 0; i < 3; ++i) {  // each life was stable
    p.exited(0, crash, t);
    const auto actions = p.take();
    REQUIRE(actions.size() == 2);
    CHECK(actions[0].wait == 0ms);
    p.started(0, t - 2min);
  }
}

TEST_CASE("random events never lead to two lives at once or to a restart storm", "[watchdog][restart]") {
  const auto strategy = GENERATE(config::restart_strategy::one_for_one, config::restart_strategy::rest_for_one);
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    config::watchdog w;
    w.strategy = strategy;
    constexpr std::size_t n = 4;
    restart_policy p(w, n, 9000ms);
    time_point now = time_point{} + 1h;
    bool alive[n] = {};
    bool doomed[n] = {};
    unsigned unasked[n] = {};
    std::uint32_t random = seed * 2654435761U;
    const auto roll = [&](std::uint32_t sides) { return (random = random * 1664525U + 1013904223U) / 65536U % sides; };
    const auto carry_out = [&] {
      for (auto actions = p.take(); !actions.empty(); actions = p.take())
        for (auto& a : actions) {
          if (a.what == action::type::failed)
            ++unasked[a.service];
          if (a.what == action::type::kill)
            doomed[a.service] = true;
          if (a.what != action::type::start)
            continue;
          REQUIRE_FALSE(alive[a.service]);
          REQUIRE_FALSE(p.stopping());
          alive[a.service] = true;
          p.started(a.service, now);
        }
    };
    const auto die = [&](std::size_t i, const exit_status& how) {
      doomed[i] = false;
      if (std::exchange(alive[i], false))
        p.exited(i, how, now);
    };
    p.start(now);
    carry_out();
    for (int step = 0; step < 3000; ++step) {  // five minutes
      now += 100ms;
      const auto i = roll(n);
      const auto event = roll(20);
      for (std::size_t k = 0; k < n; ++k)
        if (doomed[k])
          die(k, crash);
      if (event < 6) {
        die(i, event < 5 ? crash : bad_config);
      } else if (event == 6) {
        p.hung(i, "loop", roll(2) == 0, now);
      } else if (event == 7 && roll(50) == 0) {
        p.restart(i, now);
      }
      p.tick(now);
      carry_out();
    }
    for (const auto count : unasked)
      CHECK(count <= 11 + 5 + 30);  // intensity, one per minute, and what operators restarted
    p.stop(now);
    carry_out();
    for (int step = 0; step < 100; ++step) {
      now += 100ms;
      for (std::size_t k = 0; k < n; ++k)
        if (doomed[k])
          die(k, crash);
      p.tick(now);
      carry_out();
    }
    CHECK(std::none_of(alive, alive + n, [](bool b) { return b; }));
    CHECK_FALSE(p.next_due());
  }
}
