// What status makes of the answers.

#include "services/ctl/ctl.hpp"
#include "services/ctl/output.hpp"
#include "services/ctl/status_report.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

ctl::instance_status answered(const std::string& name, const std::string& state = "running", long pid = 7) {
  ctl::instance_status i;
  i.name = name;
  auto& s = *i.now.reply.emplace().mutable_status();
  s.set_service(name);
  s.set_instance(name);
  s.set_state(state);
  s.set_pid(pid);
  s.set_uptime_millis(65000);
  return i;
}

ctl::instance_status missing(const std::string& name) {
  ctl::instance_status i;
  i.name = name;
  i.now.error = "not running (no socket)";
  return i;
}

v1::Metric& add_metric(ctl::instance_status& i, const std::string& name, double value, bool counter = false) {
  auto& m = *i.now.reply->mutable_status()->add_metrics();
  m.set_name(name);
  m.set_value(value);
  m.set_kind(counter ? v1::METRIC_KIND_COUNTER : v1::METRIC_KIND_GAUGE);
  return m;
}

std::vector<std::string> names_of(const ctl::status_report& r) {
  std::vector<std::string> out;
  for (auto& i : r.instances)
    out.push_back(i.name);
  return out;
}

} // namespace

TEST_CASE("well means that all expected instances say running", "[ctl][status]") {
  ctl::status_report r{"g", "/run", {answered("store"), answered("health")}};
  CHECK(ctl::well(r));
  r.instances.push_back(answered("uplink-main", "degraded: session down"));
  CHECK_FALSE(ctl::well(r));
  r.instances.back().expected = false;
  CHECK(ctl::well(r));
  r.instances.push_back(missing("acquisition"));
  CHECK_FALSE(ctl::well(r));
}

TEST_CASE("the verdict on one instance tells running, not well and not there apart", "[ctl][status]") {
  CHECK(ctl::verdict(answered("store")) == ctl::ok);
  CHECK(ctl::verdict(answered("store", "degraded: store full")) == ctl::not_well);
  CHECK(ctl::verdict(missing("store")) == ctl::unreachable);
}

TEST_CASE("alarms that stand are shown", "[ctl][status]") {
  ctl::status_report r{"g", "/run", {answered("store")}};
  CHECK(ctl::to_table(r, false).find("ALARM") == std::string::npos);
  auto& a = *r.instances[0].now.reply->mutable_status()->add_alarms();
  a.set_name("store.full");
  a.set_severity(v1::SEVERITY_CRITICAL);
  a.set_text("95 % of the quota");
  CHECK_THAT(ctl::to_table(r, false), Catch::Matches("[^]*\n  store.full  ALARM +95 % of the quota\n[^]*"));
  const auto shown = nlohmann::json::parse(ctl::to_json(r))["instances"][0]["alarms"][0];
  CHECK(shown["name"] == "store.full");
  CHECK(shown["text"] == "95 % of the quota");
}

TEST_CASE("one watchdog for all, one for each, or none", "[ctl][status]") {
  ctl::status_report r{"", "/run", {missing("watchdog"), answered("watchdog-store"), missing("watchdog-health")}};
  ctl::keep_real_watchdogs(r);
  CHECK(names_of(r) == std::vector<std::string>{"watchdog-store", "watchdog-health"});

  r = {"", "/run", {answered("watchdog"), missing("watchdog-store")}};
  ctl::keep_real_watchdogs(r);
  CHECK(names_of(r) == std::vector<std::string>{"watchdog"});

  r = {"", "/run", {missing("watchdog"), missing("watchdog-store")}};
  ctl::keep_real_watchdogs(r);
  CHECK(names_of(r) == std::vector<std::string>{"watchdog"});
}

TEST_CASE("rates are of one process's counters", "[ctl][status]") {
  auto before = answered("store");
  add_metric(before, "holdfast_store_records_total", 100, true);
  add_metric(before, "holdfast_store_used_bytes", 100);
  auto after = answered("store");
  auto& records = add_metric(after, "holdfast_store_records_total", 350, true);
  add_metric(after, "holdfast_store_used_bytes", 350);
  const auto rates = ctl::counter_rates(before.now, after.now, 2.0);
  CHECK(rates == std::map<std::string, double>{{ctl::metric_key(records), 125.0}});

  after.now.reply->mutable_status()->set_pid(8);
  CHECK(ctl::counter_rates(before.now, after.now, 2.0).empty());
}

TEST_CASE("the table shows who is missing and why", "[ctl][status]") {
  auto store = answered("store", "degraded: writer stopped: disk full");
  auto& c = *store.now.reply->mutable_status()->add_components();
  c.set_name("writer");
  c.set_state("stopped");
  c.set_detail("disk full");
  c.set_since_millis(1500);
  auto& backlog = add_metric(store, "holdfast_store_backlog_records", 1234567);
  auto& label = *backlog.add_labels();
  label.set_name("destination");
  label.set_value("centre");
  add_metric(store, "holdfast_store_used_bytes", 1536);
  add_metric(store, "holdfast_store_oldest_unsent_seconds", 0.0125);
  add_metric(store, "holdfast_store_refused_total", 0, true);
  auto silent = missing("acquisition");
  silent.lock_holder = 99;
  const auto text = ctl::to_table({"plant", "/run", {store, missing("health"), silent}}, false);
  CHECK_THAT(text, Catch::Contains("degraded") && Catch::Contains("writer stopped: disk full"));
  CHECK_THAT(text, Catch::Contains("health       not running"));
  CHECK_THAT(text, Catch::Contains("process 99 holds its lock"));
  CHECK_THAT(text, Catch::Contains("backlog records (centre) 1 234 567"));
  CHECK_THAT(text, Catch::Contains("used 1.5 KiB"));
  CHECK_THAT(text, Catch::Contains("oldest unsent 12.5ms"));
  CHECK_THAT(text, !Catch::Contains("refused"));
  CHECK_THAT(ctl::to_table({"plant", "/run", {store}}, true), Catch::Contains("refused 0"));
}

TEST_CASE("rates have the unit of their figure", "[ctl][status]") {
  auto store = answered("store");
  store.rates[ctl::metric_key(add_metric(store, "holdfast_store_bytes_total", 4096, true))] = 2048.2;
  store.rates[ctl::metric_key(add_metric(store, "holdfast_store_commit_seconds_total", 2, true))] = 0.25;
  store.rates[ctl::metric_key(add_metric(store, "holdfast_store_commits_total", 9, true))] = 3.4;
  const auto text = ctl::to_table({"", "/run", {store}}, false);
  CHECK_THAT(text, Catch::Contains("bytes 4.0 KiB, 2.0 KiB/s"));
  CHECK_THAT(text, Catch::Contains("commit 2s, 250ms/s"));
  CHECK_THAT(text, Catch::Contains("commits 9, 3/s"));
}

TEST_CASE("JSON has everything", "[ctl][status]") {
  auto store = answered("store");
  auto& m = add_metric(store, "holdfast_store_records_total", 5, true);
  store.rates[ctl::metric_key(m)] = 2.5;
  const auto j = nlohmann::json::parse(ctl::to_json({"plant", "/run", {store, missing("health")}}));
  CHECK(j["well"] == false);
  CHECK(j["instances"][0]["state"] == "running");
  CHECK(j["instances"][0]["metrics"][0]["per_second"] == 2.5);
  CHECK(j["instances"][0]["components"].empty());
  CHECK(j["instances"][1]["reachable"] == false);
  CHECK(j["instances"][1]["error"] == "not running (no socket)");
}

TEST_CASE("who is expected follows the configuration", "[ctl][status]") {
  config::gateway g;
  g.links.resize(1);
  g.links[0].name = "main";
  CHECK(ctl::expected_instances(g) == std::vector<std::string>{"store", "uplink-main", "acquisition", "health"});
  g.watchdog.services = {"store"};
  CHECK(ctl::expected_instances(g) == std::vector<std::string>{"store"});
  config::gateway centre;
  centre.collector.emplace();
  CHECK(ctl::expected_instances(centre) == std::vector<std::string>{"collector"});
}

TEST_CASE("figures as people read them", "[ctl][status]") {
  CHECK(ctl::human_bytes(0) == "0 B");
  CHECK(ctl::human_bytes(1023) == "1023 B");
  CHECK(ctl::human_bytes(1.5 * 1024 * 1024 * 1024) == "1.5 GiB");
  CHECK(ctl::human_count(0) == "0");
  CHECK(ctl::human_count(999) == "999");
  CHECK(ctl::human_count(-1234567) == "-1 234 567");
  CHECK(ctl::human_duration(250ms) == "250ms");
  CHECK(ctl::human_duration(60s) == "1min");
  CHECK(ctl::human_duration(200s) == "3min 20s");
  CHECK(ctl::human_duration(26h) == "1d 2h");
}
