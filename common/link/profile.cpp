#include "common/link/profile.hpp"

namespace holdfast::link {

using namespace std::chrono_literals;

profile fibre() { return {.name = "fibre"}; }  // the defaults of the header

profile five_g() {
  auto p = fibre();
  p.name = "5g";
  p.monitor.floor = 350ms;
  p.monitor.failover = 500ms;
  p.monitor.gap = 150ms;
  p.monitor.burst_floor = 190ms;
  p.monitor.probe_budget = 16'000'000;
  p.monitor.recovery_probe = 500ms;
  p.monitor.late = 20ms;
  p.monitor.stall = 10s;
  p.monitor.assumed_rate = 250e3;
  p.loss.enter = 13.8;
  p.delay.window = 2s;
  p.delay.enter_windows = 3;
  p.delay.enter = 2.5;
  p.delay.leave = 1.75;
  p.delay.rise = 20ms;
  p.route = {.hold = 60s, .probation = 10s, .trial = 3s};
  p.reconnect.user_timeout = 3s;
  return p;
}

profile satellite() {
  auto p = five_g();
  p.name = "satellite";
  p.monitor.floor = 950ms;
  p.monitor.failover = 1000ms;
  p.monitor.first_wait = 3s;
  p.monitor.gap = 150ms;
  p.monitor.burst_floor = 800ms;
  p.monitor.idle_probe = 5s;
  p.monitor.probe_budget = 4'000'000;
  p.monitor.recovery_probe = 2s;
  p.monitor.stall = 20s;
  p.monitor.assumed_rate = 32e3;
  p.delay.window = 10s;
  p.delay.rise = 100ms;
  p.route = {.hold = 120s, .probation = 30s, .trial = 10s};
  p.reconnect.cap = 300s;
  p.reconnect.user_timeout = 10s;
  return p;
}

std::optional<profile> profile_named(std::string_view name) {
  for (const auto& p : {fibre(), five_g(), satellite()})
    if (p.name == name)
      return p;
  return std::nullopt;
}

} // namespace holdfast::link
