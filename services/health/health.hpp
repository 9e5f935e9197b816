#pragma once

// HEALTH, to be read first.
//
//   events.* ──► listener (bus thread) ──► inbox ──► MONITOR (fleet, alarm_book, sampler) ◄── want_picture ── WEB ◄── HTTP
//      │                                                        └──────────── have_picture ────────────────►
//      └───────► tap (bus thread) ──► taps
//
// Health only listens. Nothing waits for it, and it may die without anybody noticing but its readers.

#include "services/health/fleet.hpp"
#include "services/health/inbox.hpp"

#include "common/config/config.hpp"
#include "common/telemetry/metrics.hpp"
#include "common/telemetry/pulse.hpp"

#include <caf/fwd.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::actor {
class slot;
}

namespace holdfast::health {

/// Who belongs to this gateway: expected are the services that the configuration calls for; watchdogs are only known by
/// name, since how a gateway is guarded is decided where it is deployed.
std::vector<fleet::member> members_of(const config::gateway& g);

/// How MONITOR and WEB find each other's present incarnation.
struct addresses {
  std::shared_ptr<actor::slot> monitor;
  std::shared_ptr<actor::slot> web;
};

struct monitor_parts {
  std::string gateway;
  std::string version;
  std::vector<fleet::member> members;
  std::shared_ptr<inbox> box;
  std::string run_directory;
  std::string disk_directory;
  milliseconds interval{5000};  ///< of resource samples
  holdfast::pulse& pulse;
  const holdfast::metrics& metrics;  ///< this process's own
  std::function<void(const std::string& name, bool raised, const std::string& text)> alarm;
  std::function<void()> ask_status;  ///< of all; the answers come through the inbox
  addresses where;
};

struct web_parts {
  config::endpoint listen;
  holdfast::pulse& pulse;
  holdfast::metrics& metrics;
  std::function<void(const std::string& state, const std::string& detail, bool healthy)> set_state;
  addresses where;
};

caf::actor spawn_monitor(caf::actor_system& system, std::shared_ptr<const monitor_parts> parts);
caf::actor spawn_web(caf::actor_system& system, std::shared_ptr<const web_parts> parts);

} // namespace holdfast::health
