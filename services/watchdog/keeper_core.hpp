#pragma once

// The inside of KEEPER; for its own sources only. keeper_actor.cpp has the actor, keeper_core.cpp what comes in,
// keeper_actions.cpp what it does to processes.

#include "common/actor/next_wake.hpp"
#include "common/actor/slot.hpp"
#include "common/config/config.hpp"
#include "common/telemetry/pulse.hpp"
#include "services/watchdog/exit_watch.hpp"
#include "services/watchdog/heartbeat_intake.hpp"
#include "services/watchdog/liveness.hpp"
#include "services/watchdog/notify.hpp"
#include "services/watchdog/reporter.hpp"
#include "services/watchdog/restart_policy.hpp"
#include "services/watchdog/watchdog.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace holdfast::watchdog {

/// A process ended (from exit_watch). `life` numbers the lives of all services.
struct process_gone { std::size_t service; std::uint64_t life; exit_status status; };
/// A heartbeat with news is in the inbox (from the bus).
struct look {};
/// Somebody asked for restarts (from the bus).
struct ordered {};
/// Time to look at everything.
struct turn {};

/// Restarts that were asked for, each once however often: whoever asks a thousand times a second gets one at a time.
class order_inbox {
public:
  /// Returns whether the actor must be told.
  bool put(std::size_t service) {
    std::lock_guard lock(mutex_);
    return services_.insert(service).second;
  }
  std::set<std::size_t> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(services_, {});
  }

private:
  std::mutex mutex_;
  std::set<std::size_t> services_;
};

/// What outlives one incarnation of the actor: foreign threads hold it too.
struct plan {
  service::runtime& rt;
  std::vector<service_entry> table;
  heartbeat_inbox inbox{};
  order_inbox orders{};
  actor::slot slot{};
  std::atomic<bool> stopping{false};
};

/// The actor's inside. Each handler feeds the cores and carries out what the policy wants.
class keeper_core {
public:
  keeper_core(caf::event_based_actor* self, std::shared_ptr<plan> p)
      : self_(self), plan_(std::move(p)), limits_(plan_->rt.config().watchdog),
        policy_(limits_, plan_->table.size(), stop_budget), liveness_(limits_, plan_->table.size()),
        reporter_(plan_->rt, plan_->table), notify_(limits_), held_(plan_->table.size()),
        pulse_(plan_->rt.pulse().add("keeper", limits_.limit)), began_(now()),
        looked_(began_) {
    policy_.start(began_);
    carry_out();
  }

  void on_look();
  void on_gone(const process_gone& gone);
  void on_orders();
  void on_stop();

private:
  struct held {
    std::optional<process> it;
    std::uint64_t life = 0;
    exit_status last;
  };

  time_point now() const { return self_->clock().now(); }
  void carry_out();
  void carry_out(const action& a);
  void start(std::size_t service);
  long holder(std::size_t service) const;  // of its lock
  bool adopt(std::size_t service);
  void hold(std::size_t service, process p, bool adopted);
  void signal(std::size_t service, int number);
  void take_orders();
  void take_beats();
  void judge(time_point t);
  void tell_outside(time_point t, bool fit);
  void reap(time_point t);
  void arm();

  caf::event_based_actor* self_;
  std::shared_ptr<plan> plan_;
  config::watchdog limits_;
  restart_policy policy_;
  liveness liveness_;
  reporter reporter_;
  notify notify_;
  std::vector<held> held_;
  std::shared_ptr<pulse::loop> pulse_;
  time_point began_;
  time_point looked_;
  time_point reap_due_{};
  std::uint64_t lives_ = 0;
  actor::next_wake wake_;
  exit_watch exits_;  // last: its thread ends first
};

} // namespace holdfast::watchdog

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::watchdog::process_gone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::watchdog::look)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::watchdog::ordered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::watchdog::turn)
