#include "watchdog_host.hpp"

#include <catch2/catch.hpp>

using namespace test;

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
