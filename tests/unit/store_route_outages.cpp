// A board and a centre on virtual time: links that are cut, flap, come back or may carry little more.

#include "store_route_world.hpp"

#include <fmt/format.h>

#include <random>

using namespace route_board_test;

namespace {

config::gateway two_links(const std::string& first, const std::string& second) {
  auto c = site({first, second});
  c.links[0].tuning = *link::profile_named(first);
  c.links[1].tuning = *link::profile_named(second);
  return c;
}

std::uint64_t lacking(const route_world& w) {
  std::uint64_t n = 0;
  for (auto& [name, all] : w.stored)
    n += all.size();
  return n;
}

} // namespace

TEST_CASE("a class over two links waits for no cut of one of them", "[store]") {
  auto c = two_links("fibre", "5g");
  c.classes[0].duplicate = true;
  std::string table = "a class over two links, 20 cuts of each link: slowest batch, ms (paths 3 and 20 ms)\n";
  for (const bool session_ends : {false, true}) {
    for (const std::string cut : {"fibre", "5g"}) {
      std::mt19937 dice(7);
      route_world w(c, {{"fibre", 3ms}, {"5g", 20ms}});
      w.run(40s);
      CHECK(w.b.report("fibre").carries_size() == 1);
      CHECK(w.b.report("5g").carries_size() == 1);
      w.slowest = {};
      for (int i = 0; i < 20; ++i) {
        auto& p = w.pipes.at(cut);
        w.run(std::chrono::milliseconds(dice() % 1500));
        p.there = p.back = false;
        w.run(100ms);
        w.say(cut, health::HEALTH_SUSPECT);
        w.run(150ms);
        w.say(cut, health::HEALTH_DOWN);
        w.run(std::chrono::milliseconds(dice() % 1500));
        p.there = p.back = true;
        session_ends ? w.reopen(cut) : w.say(cut, health::HEALTH_UP);
        w.run(std::chrono::milliseconds(dice() % 3000));
      }
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(w.slowest).count();
      table += fmt::format("{:<6} cut, {:<22} {}\n", cut,
                           session_ends ? "a new session after it" : "the session stays", ms);
      CHECK(w.slowest <= 20ms + route_world::tick);
      w.producing = false;
      w.run(5s);
      CHECK(lacking(w) == 0);
      CHECK(w.confirmed == w.heads["telemetry"]);
      CHECK(w.b.board.plan.in_flight_bytes() == 0);
    }
  }
  WARN(table);
}

TEST_CASE("traffic stays on 5G while fibre accepts and then stalls, for 10 min (L35)", "[store]") {
  std::string table = "fibre accepts connections and stalls for 10 min while 5G works\n";
  for (const auto stands : {1s, 4s}) {  // below its probation
    for (const bool damped : {true, false}) {
      auto c = two_links("fibre", "5g");
      if (!damped)
        c.links[0].tuning.damping = {.flap = 0, .suspicion = 0};
      route_world w(c, {{"fibre", 3ms}, {"5g", 20ms}});
      w.run(40s);
      auto& fibre = w.pipes.at("fibre");
      fibre.there = fibre.back = false;
      w.say("fibre", health::HEALTH_DOWN);
      w.run(1s);
      w.slowest = {};
      const auto before = fibre.batches;
      const auto until = w.b.t.now + 10min;
      while (w.b.t.now < until) {
        w.say("fibre", health::HEALTH_CONNECTING);
        w.run(1s);
        w.say("fibre", health::HEALTH_UP);
        w.run(stands);
        w.say("fibre", health::HEALTH_SUSPECT);
        w.run(200ms);
        w.say("fibre", health::HEALTH_DOWN);
        w.run(1s);
        REQUIRE(w.b.report("5g").carries_size() == 1);
      }
      CHECK(fibre.batches == before);
      CHECK(w.slowest <= 20ms + route_world::tick);
      const auto flaps_end = w.b.t.now;
      fibre.there = fibre.back = true;
      w.say("fibre", health::HEALTH_UP);
      while (w.b.report("fibre").carries_size() == 0 && w.b.t.now < flaps_end + 30min)
        w.run(100ms);
      const auto back = std::chrono::duration<double>(w.b.t.now - flaps_end).count();
      table += fmt::format("stands {} s, {:<8} 0 batches over fibre, slowest {} ms; fibre carries {:.1f} s after\n",
                           stands.count(), damped ? "damped:" : "undamped:",
                           std::chrono::duration_cast<std::chrono::milliseconds>(w.slowest).count(), back);
      CHECK(back >= 30);                       // its hold
      CHECK(back <= (damped ? 16 * 60 : 31));  // its damping
      w.producing = false;
      w.run(5s);
      CHECK(lacking(w) == 0);
      CHECK(w.confirmed == w.heads["telemetry"]);
    }
  }
  WARN(table);
}

TEST_CASE("traffic and backlog return to fibre once, and nothing stays on the metered link (L38)", "[store]") {
  auto c = two_links("fibre", "5g");
  c.links[1].budget_day = {std::uint64_t{1} << 30};
  route_world w(c, {{"fibre", 3ms}, {"5g", 20ms}});
  auto& fibre = w.pipes.at("fibre");
  auto& mobile = w.pipes.at("5g");
  mobile.rate = 100e3;  // twice the live records
  w.run(40s);
  for (auto* p : {&fibre, &mobile})
    p->there = p->back = false;
  w.say("fibre", health::HEALTH_DOWN);
  w.say("5g", health::HEALTH_DOWN);
  w.run(10min);
  const auto backlog = w.b.board.plan.backlog_records();
  mobile.there = mobile.back = true;
  w.reopen("5g");
  w.run(20s);
  fibre.there = fibre.back = true;
  w.reopen("fibre");
  w.b.said.clear();
  w.doubled = 0;
  const auto returned = w.b.t.now;
  while (w.b.said.empty() && w.b.t.now < returned + 5min)
    w.run(5ms);
  const auto after = std::chrono::duration<double>(w.b.t.now - returned).count();
  const auto left = w.b.board.plan.backlog_records();
  const auto held = w.b.board.plan.in_flight_bytes("5g");
  const auto metered = mobile.batches;
  CHECK(w.b.said == std::vector<std::string>{"switched 5g>fibre"});
  CHECK(after >= 30);
  CHECK(after <= 33);
  CHECK(left > 10'000);  // or this shows nothing
  w.run(10min);
  CHECK(w.b.said.size() == 1);
  CHECK(mobile.batches == metered);
  CHECK(w.b.board.plan.in_flight_bytes("5g") == 0);
  w.producing = false;
  w.run(5s);
  CHECK(lacking(w) == 0);
  CHECK(w.confirmed == w.heads["telemetry"]);
  WARN(fmt::format("return to fibre: after {:.1f} s, 1 switch, {} batches sent twice for it; of {} records of backlog "
                   "{} were left, all over fibre; 5G had {} bytes on their way and got none more\n",
                   after, w.doubled, backlog, left, held));
}

TEST_CASE("beside a more urgent class's backlog a lesser one returns to fibre too and damps nothing", "[store]") {
  auto c = two_links("fibre", "5g");
  c.classes.push_back({.name = "bulk", .priority = 200});
  route_world w(c, {{"fibre", 3ms}, {"5g", 20ms}});
  auto& fibre = w.pipes.at("fibre");
  auto& mobile = w.pipes.at("5g");
  fibre.rate = mobile.rate = 200e3;  // twice the live records
  w.run(40s);
  for (auto* p : {&fibre, &mobile})
    p->there = p->back = false;
  w.say("fibre", health::HEALTH_DOWN);
  w.say("5g", health::HEALTH_DOWN);
  w.run(20min);
  w.producing = false;  // live records would find their way
  mobile.there = mobile.back = true;
  w.reopen("5g");
  w.run(20s);
  fibre.there = fibre.back = true;
  w.reopen("fibre");
  w.b.said.clear();
  const auto returned = w.b.t.now;
  while (w.b.said.size() < 2 && w.b.t.now < returned + 5min)
    w.run(5ms);
  const auto after = std::chrono::duration<double>(w.b.t.now - returned).count();
  const auto left = w.b.board.plan.backlog_records();
  const auto metered = mobile.batches;
  w.run(5min);
  CHECK(w.b.said == strings{"switched 5g>fibre", "switched 5g>fibre"});
  CHECK(after <= 33);
  CHECK(left > 400'000);  // or this shows nothing
  CHECK(mobile.batches == metered);
  w.run(10min);
  CHECK(lacking(w) == 0);
  CHECK(w.confirmed == w.heads["telemetry"] + w.heads["bulk"]);
  WARN(fmt::format("two classes with a backlog return to fibre: both after {:.1f} s, {} records left\n", after, left));
}

TEST_CASE("with GEO alone and its budget nearly spent alarms pass, telemetry waits, the wire keeps the budget (L41)",
          "[store]") {
  constexpr std::uint64_t budget = 1'000'000;
  std::string table = fmt::format("GEO alone, {} bytes a day, an alarm and a batch of telemetry each 200 ms\n", budget);
  for (const std::uint64_t bytes : {100U, 1000U, 20'000U}) {
    auto c = site({"satellite"});
    c.links[0].tuning = *link::profile_named("satellite");
    c.links[0].budget_day = {budget};
    c.classes.push_back({.name = "alarms", .priority = 1, .when_spent = link::budget_rule::use_reserve});
    route_world w(c, {{"satellite", 300ms}});
    auto& sat = w.pipes.at("satellite");
    sat.rate = 250e3;
    w.interval = 200ms;
    w.batch_bytes = bytes;
    const auto day = w.b.t.now + 6h;
    std::uint64_t reserve = 0;  // bytes when the last telemetry came
    std::size_t telemetry = 0;
    std::size_t alarms = 0;
    while (w.b.report("satellite").budget() != "spent" && w.b.t.now < day) {
      w.run(100ms);
      if (std::exchange(telemetry, w.at_centre["telemetry"].size()) == w.at_centre["telemetry"].size())
        continue;
      reserve = sat.wire;
      alarms = w.at_centre["alarms"].size();
    }
    w.producing = false;
    w.run(5s);
    CHECK(w.b.report("satellite").budget() == "spent");
    CHECK_FALSE(w.b.board.order("satellite").connect());
    CHECK(w.at_centre["alarms"].size() > alarms);
    CHECK(sat.wire <= budget);
    CHECK(reserve <= budget * 95 / 100);
    table += fmt::format("batches of {:5} B: telemetry waits from {:7} B on, the end at {:7} B; {} alarms in between\n",
                         bytes, reserve, sat.wire, w.at_centre["alarms"].size() - alarms);
    const auto waiting = lacking(w);
    CHECK(waiting > 0);
    w.b.t.unix_nanos += 86'400'000'000'000;  // a new day
    w.run(30s);
    CHECK(lacking(w) == 0);
    CHECK(w.b.report("satellite").budget() == "ample");
  }
  WARN(table);
}

TEST_CASE("what is on its way may be counted already, and ends no budget for the day", "[store]") {
  auto c = site({"satellite"});
  c.links[0].tuning = *link::profile_named("satellite");
  c.links[0].budget_day = {1'000'000};
  c.classes.push_back({.name = "alarms", .priority = 1, .when_spent = link::budget_rule::use_reserve});
  route_world w(c, {{"satellite", 300ms}});
  auto& sat = w.pipes.at("satellite");
  sat.rate = 250e3;
  w.interval = 10ms;  // far more than the link carries
  w.run(1600ms);
  w.interval = 200ms;
  const auto day = w.b.t.now + 6h;
  while (w.b.report("satellite").budget() != "reserve" && w.b.t.now < day)
    w.run(100ms);
  CHECK(sat.wire >= 900'000);
  CHECK(sat.wire <= 970'000);  // with the alarms of the last counts
  while (w.b.report("satellite").budget() != "spent" && w.b.t.now < day)
    w.run(100ms);
  CHECK(sat.wire >= 980'000);
  CHECK(sat.wire <= 1'000'000);
}
