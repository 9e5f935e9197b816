// MONITOR as an actor, on virtual time.

#include "common/actor/slot.hpp"
#include "health_support.hpp"
#include "services/health/actors.hpp"
#include "services/health/health.hpp"

#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>

#include <filesystem>

using namespace health_test;
using namespace std::chrono_literals;

namespace {

caf::actor_system_config& testing(caf::actor_system_config& cfg) {
  cfg.set("scheduler.policy", caf::atom("testing"));
  return cfg;
}

struct world {
  caf::actor_system_config cfg;
  caf::actor_system sys{testing(cfg)};
  caf::scheduler::test_coordinator& sched = dynamic_cast<caf::scheduler::test_coordinator&>(sys.scheduler());
  pulse beats;
  metrics figures;
  std::shared_ptr<health::inbox> box = std::make_shared<health::inbox>(std::vector<std::string>{"store", "health"});
  health::addresses where{std::make_shared<actor::slot>(), std::make_shared<actor::slot>()};
  std::vector<std::string> alarms;
  int asked = 0;
  std::vector<health::picture_ptr> shown;
  caf::actor monitor;
  caf::actor web;

  world() {
    sched.clock().current_time += 1h;
    web = sys.spawn([this](caf::event_based_actor*, int) -> caf::behavior {
      return {[this](const health::have_picture& p) { shown.push_back(p.value); }};
    }, 0);
    where.web->set(web);
    const auto nowhere = std::filesystem::temp_directory_path().string();
    monitor = health::spawn_monitor(
      sys, std::make_shared<const health::monitor_parts>(health::monitor_parts{
             .gateway = "plant",
             .version = "0.1.0",
             .members = {{"store", true, false}, {"health", true, true}},
             .box = box,
             .run_directory = nowhere,
             .disk_directory = nowhere,
             .interval = 5000ms,
             .pulse = beats,
             .metrics = figures,
             .alarm = [this](auto& name, bool raised, auto&) { alarms.push_back((raised ? "+" : "-") + name); },
             .ask_status = [this] { ++asked; },
             .where = where}));
    sched.run();
  }
  ~world() {
    where = {};
    for (auto* a : {&monitor, &web}) {
      caf::anon_send_exit(*a, caf::exit_reason::kill);
      *a = nullptr;
    }
    sched.run();
    advance(1s);
  }
  void advance(caf::timespan d) {
    for (caf::timespan t{0}; t < d; t += 50ms) {
      sched.advance_time(50ms);
      sched.run();
    }
  }
  void arrives(std::vector<blob> parts) { box->put({health::inbox::kind::event, std::move(parts)}); }
};

} // namespace

TEST_CASE("health: MONITOR collects, asks, answers and alarms", "[health]") {
  world w;
  speaker store{"store"};
  w.figures.gauge("holdfast_own", "Own figure").set(3);
  w.arrives(store.heartbeat());
  w.arrives({blob(std::string("heartbeat.store")), blob(std::string("rubbish"))});
  w.advance(600ms);
  CHECK(w.asked == 1);
  caf::anon_send(w.monitor, health::want_picture{});
  w.sched.run();
  REQUIRE(w.shown.size() == 1);
  auto& p = *w.shown[0];
  CHECK(p.reasons().empty());
  REQUIRE(p.instances.size() == 2);
  CHECK(p.instances[0].malformed == 1);
  CHECK(p.instances[1].metrics->metrics(0).value() == 3);
  CHECK(p.instances[1].loops.at(0).name == "monitor");
  CHECK(p.machine.has_value());
  const auto has_alarm = [&](const std::string& a) { return std::count(w.alarms.begin(), w.alarms.end(), a); };
  CHECK(has_alarm("+silent:store") == 0);
  w.advance(3s);
  CHECK(has_alarm("+silent:store") == 1);
  caf::anon_send(w.monitor, health::want_picture{});
  w.sched.run();
  CHECK(w.shown.back()->instances[1].alarms.count("silent:store") == 1);
  CHECK(w.shown[0]->instances[1].alarms.count("silent:store") == 0);  // a picture does not change
}

TEST_CASE("health: each service has its own bounded share of the inbox", "[health]") {
  health::inbox box({"store", "acquisition"});
  const auto put = [&](const std::string& topic, std::size_t size = 0) {
    box.put({health::inbox::kind::event, {blob(topic), blob(std::string(size, 'x'))}});
  };
  for (std::size_t n = 0; n < health::inbox::message_limit + 5; ++n)
    put("heartbeat.store");
  CHECK(box.dropped() == 5);
  put("heartbeat.acquisition");
  put("heartbeat.nobody");
  box.put({health::inbox::kind::event, {}});
  box.put({health::inbox::kind::status, {}});
  CHECK(box.dropped() == 5);
  CHECK(box.take().size() == health::inbox::message_limit + 4);
  for (int n = 0; n < 10; ++n)
    put("metrics.store", health::inbox::byte_limit / 4);
  CHECK(box.dropped() == 5 + 7);
  CHECK(box.take().size() == 3);
  CHECK(box.take().empty());
}
