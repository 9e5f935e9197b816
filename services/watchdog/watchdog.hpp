#pragma once

#include "common/service/runtime.hpp"
#include "services/watchdog/service_table.hpp"

#include <chrono>
#include <string>
#include <vector>

/// The watchdog keeps the services of a host running.
///
///     service_table     which services there are, in start order, and their command lines
///     restart_policy    (core) when each is started, stopped, started again; restart_history: how long to wait
///     liveness          (core) which of them hang, by their heartbeats
///     process           a child or an adopted process, held by its pidfd
///     identity          which service a running process is, by its command line
///     exit_watch        the thread that learns of exits
///     heartbeat_intake  heartbeats from the event bus; how late our own threads are
///     reporter          states, metrics, alarms and ProcessEvents
///     notify            systemd and the hardware watchdog: who watches us
///     KEEPER            the actor that feeds the cores and carries out what they decide
///     OBSERVER          the actor that only watches (--observe)
///
/// Services outlive the watchdog. A new one adopts what runs, found by the lock each service holds.
namespace holdfast::watchdog {

struct settings {
  std::string only;      ///< guard this service alone, as a container's entry point
  bool observe = false;  ///< start and stop nothing
};

/// Stopping is over by then, whatever the services do; docker gives ten seconds.
inline constexpr std::chrono::milliseconds stop_budget{9000};
/// What the actor and the process get beyond that.
inline constexpr std::chrono::milliseconds actor_grace{9300};
inline constexpr std::chrono::milliseconds stop_deadline{9600};

/// The longest pause between two looks at everything. What is due earlier is done when it is due, so this only decides
/// how soon we notice that we slept, and what an idle watchdog costs.
inline constexpr std::chrono::milliseconds tick_period{200};

actor::child_spec keeper(service::runtime& rt, std::vector<service_entry> table);
actor::child_spec observer(service::runtime& rt, std::vector<service_entry> table);

} // namespace holdfast::watchdog
