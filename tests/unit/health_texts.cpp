#include "health_support.hpp"
#include "services/health/exposition.hpp"
#include "services/health/page.hpp"
#include "services/health/status.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace health_test;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

const std::string nasty = "</script>\"\\\n\xE2\x98\xA0";

health::fleet told_fleet() {
  health::fleet f("plant " + nasty, "0.1.0", {{"store", true, false}, {"uplink-a", true, false}, {"watchdog", false, false}});
  speaker store{"store"};
  f.take(store.heartbeat("degraded: " + nasty), at(0));
  f.take(store.figure("holdfast_used_bytes", 0.5, {{"class", nasty}}), at(0));
  f.take(store.alarm(nasty, true, nasty), at(0));
  f.take(store.state("link:" + nasty, nasty), at(0));
  health::proc::usage u;
  u.cpu_seconds = 1.5;
  u.resident_bytes = 4096;
  f.set_usage("store", u);
  health::proc::machine m;
  m.load = health::proc::load{0.5, 0.25, 0.125};
  m.interfaces.push_back({"eth0", 10, 20});
  f.set_machine(m);
  return f;
}

} // namespace

TEST_CASE("health: Prometheus text has every figure, labelled and escaped", "[health]") {
  const auto text = health::prometheus_text(*told_fleet().snapshot(at(100)));
  CHECK_THAT(text, Contains("up{instance=\"store\"} 1\n"));
  CHECK_THAT(text, Contains("up{instance=\"uplink-a\"} 0\n"));
  CHECK_THAT(text, !Contains("watchdog"));  // may be there, is not
  CHECK_THAT(text, Contains("holdfast_used_bytes{class=\"</script>\\\"\\\\\\n\xE2\x98\xA0\",instance=\"store\"} 0.5\n"));
  CHECK_THAT(text, Contains("holdfast_process_cpu_seconds_total{instance=\"store\"} 1.5\n"));
  CHECK_THAT(text, Contains("holdfast_machine_network_receive_bytes_total{device=\"eth0\"} 10\n"));
  CHECK_THAT(text, Contains("holdfast_healthy 0\n"));
}

TEST_CASE("health: figures of a silent service are left out", "[health]") {
  const auto text = health::prometheus_text(*told_fleet().snapshot(at(5000)));
  CHECK_THAT(text, Contains("up{instance=\"store\"} 0\n"));
  CHECK_THAT(text, !Contains("holdfast_used_bytes"));
}

TEST_CASE("health: figures that would spoil a scrape are refused and counted", "[health]") {
  health::fleet f("plant", "0", {{"store", true, false}, {"uplink-a", true, false}});
  speaker store{"store"};
  speaker uplink{"uplink-a"};
  f.take(store.heartbeat(), at(0));
  f.take(uplink.heartbeat(), at(0));
  v1::Metrics all;
  const auto add = [&](const std::string& name, v1::MetricKind kind, std::vector<std::pair<std::string, std::string>> labels) {
    auto& m = *all.add_metrics();
    m.set_name(name);
    m.set_kind(kind);
    m.set_help("one\nup 1\n\\two");
    for (auto& [k, v] : labels) {
      auto& l = *m.add_labels();
      l.set_name(k);
      l.set_value(v);
    }
  };
  add("good_total", v1::METRIC_KIND_COUNTER, {});
  add("good_total", v1::METRIC_KIND_COUNTER, {});                      // twice
  add("bad name", v1::METRIC_KIND_GAUGE, {});
  add("good_gauge", v1::METRIC_KIND_GAUGE, {{"bad label", "x"}});
  add("good_gauge", v1::METRIC_KIND_GAUGE, {{"a", "x"}, {"a", "y"}});  // a label twice
  add("", v1::METRIC_KIND_GAUGE, {});
  add("named", v1::METRIC_KIND_GAUGE, {{"instance", "mine"}});
  REQUIRE(f.take(store.say("metrics", all), at(0)));
  f.take(uplink.figure("good_total", 3), at(0));  // a gauge elsewhere: the first type stands
  const auto text = health::prometheus_text(*f.snapshot(at(0)));
  CHECK_THAT(text, Contains("holdfast_health_series_refused 5\n"));
  CHECK_THAT(text, Contains("# HELP good_total one up 1  two\n# TYPE good_total counter\n"));
  CHECK_THAT(text, Contains("good_total{instance=\"uplink-a\"} 3\n"));
  CHECK_THAT(text, Contains("named{exported_instance=\"mine\",instance=\"store\"} 0\n"));
  CHECK_THAT(text, !Contains("# TYPE good_total gauge"));
}

TEST_CASE("health: status.json is JSON and whole, whatever the texts hold", "[health]") {
  const auto f = told_fleet();
  const auto j = json::parse(health::status_json(*f.snapshot(at(100))));
  CHECK(j["gateway"] == "plant " + nasty);
  CHECK(j["healthy"] == false);
  CHECK(j["services"].size() == 2);
  auto& store = j["services"][0];
  CHECK(store["presence"] == "up");
  CHECK(store["state"] == "degraded: " + nasty);
  CHECK(store["components"][0]["state"] == nasty);
  CHECK(store["alarms"][0]["text"] == nasty);
  CHECK(store["metrics"].size() == 1);
  CHECK(store["usage"]["resident_bytes"] == 4096);
  CHECK(store["loops"][0]["late"] == false);
  CHECK(j["machine"]["load"][0] == 0.5);
  CHECK(j["journal"].size() == 2);
  CHECK(j["services"][1]["presence"] == "unknown");
}

TEST_CASE("health: healthz gives reasons", "[health]") {
  health::fleet f("plant", "0", {{"store", true, false}});
  auto v = health::healthz(*f.snapshot(at(0)));
  CHECK_FALSE(v.healthy);
  CHECK(json::parse(v.json) == json::parse(R"({"healthy":false,"reasons":[{"instance":"store","reason":"not heard yet"}]})"));
  speaker store{"store"};
  f.take(store.heartbeat(), at(0));
  v = health::healthz(*f.snapshot(at(0)));
  CHECK(v.healthy);
  CHECK(json::parse(v.json) == json::parse(R"({"healthy":true,"reasons":[]})"));
}

TEST_CASE("health: the page loads nothing from elsewhere and writes no markup from data", "[health]") {
  const std::string page(health::page_html());
  CHECK_THAT(page, Contains("</html>"));
  for (auto* word : {"http:", "https:", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "<link rel=\"style"})
    CHECK_THAT(page, !Contains(word));
}

TEST_CASE("health: what a process and the machine use is in both texts", "[health]") {
  health::fleet f("plant", "0.1.0", {{"store", true, false}});
  speaker store{"store"};
  f.take(store.heartbeat(), at(0));
  f.set_usage("store", health::proc::usage{.cpu_seconds = 1.5, .cpu_percent = 12.5, .resident_bytes = 4096,
                                           .proportional_bytes = 2048, .threads = 6, .open_files = 17,
                                           .storage = health::proc::io{100, 200}});
  f.set_machine({.load = health::proc::load{0.5, 0.25, 0.125}, .memory = health::proc::memory{8000, 3000},
                 .disk = health::proc::disk{"/var/lib/holdfast", 9000, 1000}});
  const auto seen = f.snapshot(at(100));

  const auto text = health::prometheus_text(*seen);
  for (auto* line : {"holdfast_process_cpu_percent{instance=\"store\"} 12.5\n",
                     "holdfast_process_resident_bytes{instance=\"store\"} 4096\n",
                     "holdfast_process_proportional_bytes{instance=\"store\"} 2048\n",
                     "holdfast_process_threads{instance=\"store\"} 6\n",
                     "holdfast_process_open_fds{instance=\"store\"} 17\n",
                     "holdfast_process_storage_read_bytes_total{instance=\"store\"} 100\n",
                     "holdfast_process_storage_written_bytes_total{instance=\"store\"} 200\n",
                     "holdfast_machine_load15 0.125\n", "holdfast_machine_memory_bytes 8000\n",
                     "holdfast_machine_memory_available_bytes 3000\n",
                     "holdfast_machine_disk_bytes{directory=\"/var/lib/holdfast\"} 9000\n",
                     "holdfast_machine_disk_free_bytes{directory=\"/var/lib/holdfast\"} 1000\n"})
    CHECK_THAT(text, Contains(line));

  const auto status = json::parse(health::status_json(*seen));
  CHECK(status["services"][0]["usage"]
        == json{{"cpu_seconds", 1.5}, {"cpu_percent", 12.5}, {"resident_bytes", 4096}, {"proportional_bytes", 2048},
                {"threads", 6}, {"open_files", 17}, {"storage", {{"read_bytes", 100}, {"written_bytes", 200}}}});
  CHECK(status["machine"]["memory"] == json{{"total_bytes", 8000}, {"available_bytes", 3000}});
  CHECK(status["machine"]["disk"]
        == json{{"directory", "/var/lib/holdfast"}, {"total_bytes", 9000}, {"free_bytes", 1000}});
}
