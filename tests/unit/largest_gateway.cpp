// What acquisition says of itself in the largest gateway that the configuration allows reaches those who listen.

#include "actor_world.hpp"
#include "common/config/limits.hpp"
#include "holdfast/v1/control.pb.h"
#include "holdfast/v1/events.pb.h"
#include "services/acquisition/modbus/bus_master.hpp"
#include "services/acquisition/source_figures.hpp"
#include "services/health/listener.hpp"
#include "services/watchdog/heartbeat_intake.hpp"
#include "storage_support.hpp"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

/// As long as a name may be.
std::string name_of(std::size_t n) { return fmt::format("{:a>64}", n); }

void add_component(v1::StatusReply& to, const std::string& name) {
  auto& c = *to.add_components();
  c.set_name(name);
  c.set_state("failing");
  c.set_detail(std::string(200, 'd'));
  c.set_since_millis(~std::uint64_t{0});
}

} // namespace

TEST_CASE("figures and status of the largest gateway fit into what health takes", "[config]") {
  constexpr std::size_t part = 100;  // of the whole: it grows in proportion
  constexpr std::size_t each = config::most_devices / config::most_sources;
  metrics figures;
  pulse beats;
  v1::StatusReply status;
  std::vector<std::unique_ptr<acquisition::modbus::bus_master>> buses;
  for (std::size_t n = 0; n < config::most_sources / part; ++n) {
    const acquisition::source_figures source(figures, {{"source", name_of(n)}});
    figures.counter("holdfast_component_restarts_total", "Restarts of a component",
                    {{"component", "source:" + name_of(n)}});
    add_component(status, "source:" + name_of(n));
    config::modbus_source bus;
    bus.transport = config::endpoint{"127.0.0.1", 502};
    for (std::size_t d = 0; d < each; ++d) {
      config::modbus_device device;
      device.name = name_of(n * each + d);
      device.points.resize(1);
      bus.devices.push_back(device);
      add_component(status, "device:" + name_of(n) + "/" + device.name);
    }
    buses.push_back(std::make_unique<acquisition::modbus::bus_master>(
      bus, name_of(n), acquisition::modbus::bus_callbacks{}, beats, figures));
  }
  v1::Metrics all;
  figures.snapshot(all);
  CHECK(part * all.ByteSizeLong() < health::listener::max_message);
  status.mutable_metrics()->Swap(all.mutable_metrics());
  CHECK(part * status.ByteSizeLong() + (1 << 18) < health::listener::max_message);  // and its loops
}

TEST_CASE("the watchdog hears the heartbeat of the largest gateway", "[watchdog]") {
  test::temporary_directory dir;
  test::actor_world w;
  config::gateway g;
  g.run_directory = dir.path("run");
  std::filesystem::create_directories(g.run_directory);
  service::runtime sender("acquisition", "acquisition", g, w.system());
  std::vector<std::shared_ptr<pulse::loop>> loops;
  for (std::size_t n = 0; n < config::most_sources; ++n)
    for (const auto* what : {"source:", "modbus "})
      loops.push_back(sender.pulse().add(what + name_of(n), 1h));
  service::runtime listener("watchdog", "watchdog", g, w.system());
  std::atomic<std::size_t> heard{0};
  watchdog::take_heartbeats(listener, {{"acquisition", {}}},
                            [&](const watchdog::heartbeat_inbox::arrival& a) { heard = a.beat.loops.size(); });
  listener.start();
  sender.start();
  for (const auto until = std::chrono::steady_clock::now() + 10s; heard == 0;) {
    REQUIRE(std::chrono::steady_clock::now() < until);
    std::this_thread::yield();
  }
  CHECK(heard >= loops.size());
  listener.stop();
  sender.stop();
}
