// What links makes of the store's answer.

#include "services/ctl/links_report.hpp"
#include "services/ctl/output.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <sstream>

using namespace holdfast;
using Catch::Contains;

namespace {

v1::LinkReport& add_link(v1::LinksReply& r, const std::string& name, const std::string& state) {
  auto& l = *r.add_links();
  l.set_name(name);
  l.set_destination("centre");
  l.set_state(state);
  l.set_since_millis(200'000);
  return l;
}

v1::LinkStatus& measured(v1::LinkReport& l, std::uint64_t round_trip, std::uint64_t variation, double loss) {
  auto& s = *l.mutable_status();
  s.set_round_trip_micros(round_trip);
  s.set_variation_micros(variation);
  s.set_loss(loss);
  s.set_breaker("closed");
  return s;
}

v1::LinkSwitch& add_switch(v1::LinksReply& r, const std::string& from, const std::string& to, const std::string& kind) {
  auto& s = *r.add_switches();
  s.set_unix_nanos(1'795'359'600'123'456'789);
  s.set_destination("centre");
  s.set_record_class("critical");
  s.set_from(from);
  s.set_to(to);
  s.set_kind(kind);
  s.set_cause("because");
  return s;
}

// One link that carries, one that is drained and metered.
v1::LinksReply usual() {
  v1::LinksReply r;
  auto& fibre = add_link(r, "fibre", "active");
  measured(fibre, 4812, 640, 0.001);
  fibre.add_carries("critical");
  fibre.add_carries("telemetry");
  auto& metered = add_link(r, "5g", "drained");
  measured(metered, 41'200, 12'000, 0);
  metered.set_drained(true);
  metered.set_budget("warned");
  metered.set_used_day_bytes(1717986918);
  metered.set_used_month_bytes(3ULL << 30);
  metered.set_cause("drained by the operator");
  return r;
}

config::gateway anything() {
  config::gateway c;
  return c;
}

config::gateway configured(std::uint64_t day, std::uint64_t month) {
  config::gateway c;
  auto& l = c.links.emplace_back();
  l.name = "5g";
  l.budget_day = {day};
  l.budget_month = {month};
  return c;
}

std::string line_with(const std::string& text, const std::string& begin) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(begin))
      return line;
  return {};
}

} // namespace

TEST_CASE("the table of links tells state, figures, budget, classes, flags and cause", "[ctl][links]") {
  const auto text = ctl::to_table(usual(), configured(2ULL << 30, 0));
  CHECK(line_with(text, "LINK")
        == "LINK   DESTINATION  STATE       SINCE  ROUND TRIP      LOSS   BREAKER  BUDGET                            "
           "CARRIES              FLAGS    CAUSE");
  CHECK(line_with(text, "fibre")
        == "fibre  centre       active   3min 20s  4.8ms ± 0.64ms  0.1 %  closed   -                                 "
           "critical, telemetry  -        -");
  CHECK(line_with(text, "5g")
        == "5g     centre       drained  3min 20s  41ms ± 12ms     0 %    closed   1.6 GiB of 2.0 GiB today, warned  "
           "-                    drained  drained by the operator");
}

TEST_CASE("what is not known is not shown as a figure", "[ctl][links]") {
  v1::LinksReply r;
  add_link(r, "satellite", "connecting");
  const auto text = ctl::to_table(r, anything());
  CHECK(line_with(text, "LINK") == "LINK       DESTINATION  STATE          SINCE");
  CHECK(line_with(text, "satellite") == "satellite  centre       connecting  3min 20s");
  CHECK_THAT(text, Contains("\n\nno switches yet\n"));
  CHECK_THAT(ctl::to_table({}, anything()), Contains("no links\n"));
}

TEST_CASE("of a budget the limited periods are shown", "[ctl][links]") {
  const auto r = usual();
  CHECK_THAT(ctl::to_table(r, configured(0, 30ULL << 30)), Contains("  3.0 GiB of 30.0 GiB this month, warned  "));
  CHECK_THAT(ctl::to_table(r, configured(2ULL << 30, 30ULL << 30)),
             Contains("  1.6 GiB of 2.0 GiB today, 3.0 GiB of 30.0 GiB this month, warned  "));
  CHECK_THAT(ctl::to_table(r, anything()), Contains("  1.6 GiB today, 3.0 GiB this month, warned  "));
}

TEST_CASE("switches tell from where to where, the gap and why, newest last", "[ctl][links]") {
  auto r = usual();
  add_switch(r, "", "fibre", "switched").set_gap_micros(1'234'567);
  add_switch(r, "fibre", "5g", "diverted");
  add_switch(r, "5g", "", "switched").set_gap_micros(182'400);
  const auto text = ctl::to_table(r, anything());
  CHECK_THAT(
    text, Contains("SWITCHED AT               DESTINATION  CLASS     FROM -> TO                GAP  CAUSE\n"
                   "2026-11-22T15:00:00.123Z  centre       critical  nothing -> fibre         1.2s  because\n"
                   "2026-11-22T15:00:00.123Z  centre       critical  fibre -> 5g (diverted)      -  because\n"
                   "2026-11-22T15:00:00.123Z  centre       critical  5g -> nothing           182ms  because\n"));
}

TEST_CASE("well means that each destination has a link that carries", "[ctl][links]") {
  auto r = usual();
  CHECK(ctl::well(r, anything()));
  auto& other = add_link(r, "backup", "down");
  other.set_destination("second centre");
  CHECK_FALSE(ctl::well(r, anything()));
  CHECK_THAT(ctl::to_table(r, anything()), Contains("\nnothing carries to: second centre\n\n"));
  other.add_carries("critical");
  CHECK(ctl::well(r, anything()));
  CHECK(ctl::well({}, anything()));
}

TEST_CASE("a configured destination of which the store says nothing is not well", "[ctl][links]") {
  config::gateway c;
  c.destinations = {{.name = "centre"}};
  CHECK(ctl::well(usual(), c));
  CHECK_FALSE(ctl::well({}, c));
  c.destinations.push_back({.name = "other"});
  CHECK_FALSE(ctl::well(usual(), c));
  CHECK_THAT(ctl::to_table(usual(), c), Contains("\nnothing carries to: other\n\n"));
  CHECK(nlohmann::json::parse(ctl::to_json(usual(), c))["well"] == false);
}

TEST_CASE("JSON of links has the fields of the contract", "[ctl][links]") {
  auto r = usual();
  add_link(r, "satellite", "connecting");
  add_switch(r, "fibre", "5g", "diverted");
  add_switch(r, "fibre", "5g", "switched").set_gap_micros(0);
  const auto j = nlohmann::json::parse(ctl::to_json(r, configured(2ULL << 30, 0)));
  CHECK(j["well"] == true);
  CHECK(j["links"][0]["carries"] == nlohmann::json{"critical", "telemetry"});
  CHECK(j["links"][0]["status"]["round_trip_micros"] == 4812);
  CHECK(j["links"][0]["status"]["health"] == "HEALTH_CONNECTING");
  CHECK(j["links"][1]["drained"] == true);
  CHECK(j["links"][1]["limit_day_bytes"] == 2ULL << 30);
  CHECK(j["links"][1]["limit_month_bytes"].is_null());
  CHECK(j["links"][2]["status"].is_null());
  CHECK(j["switches"][0]["gap_micros"].is_null());
  CHECK(j["switches"][0]["time"] == "2026-11-22T15:00:00.123Z");
  CHECK(j["switches"][1]["gap_micros"] == 0);
}

TEST_CASE("a table keeps its columns, whatever is in the cells", "[ctl][links]") {
  CHECK(ctl::aligned({{"a", "bb", "c"}, {"é", "b", "\x1b[31m\n"}}, 1) == "a  bb  c\né   b  ?[31m?\n");
  CHECK(ctl::aligned({}, 0).empty());
}
