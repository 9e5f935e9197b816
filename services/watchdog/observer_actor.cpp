#include "common/actor/guard.hpp"
#include "services/watchdog/heartbeat_intake.hpp"
#include "services/watchdog/notify.hpp"
#include "services/watchdog/reporter.hpp"
#include "services/watchdog/watchdog.hpp"

#include <fmt/format.h>

namespace holdfast::watchdog {

namespace {

struct plan {
  service::runtime& rt;
  std::vector<service_entry> table;
  heartbeat_inbox inbox{};
};

class observer_core {
public:
  observer_core(caf::event_based_actor* self, std::shared_ptr<plan> p)
      : self_(self), plan_(std::move(p)), limits_(plan_->rt.config().watchdog), liveness_(limits_, plan_->table.size()),
        reporter_(plan_->rt, plan_->table), notify_(limits_),
        pulse_(plan_->rt.pulse().add("observer", limits_.limit)), began_(now()) {
    for (std::size_t i = 0; i < plan_->table.size(); ++i)
      liveness_.watch(i, 0, began_, began_);
    on_tick();
  }

  void on_tick() {
    const auto at = now();
    pulse_->beat();
    take_beats();
    const auto pace = check_own_pace(plan_->rt);
    if (!pace.judgeable)
      liveness_.excuse(at);
    for (auto& f : liveness_.tick(at))
      reporter_.observed(f.service, false, f.reason);
    reporter_.excuses(liveness_.excuses());
    notify_.tick(at, pace.fit);
    notify_.status(reporter_.summary());
    if (limits_.feed_device)
      reporter_.device(notify_.device_trouble());
    if (liveness_.all_seen() || at - began_ >= limits_.start_limit)
      notify_.ready();
    self_->delayed_send(self_, tick_period, caf::tick_atom::value);
  }

  void take_beats() {
    for (auto& a : plan_->inbox.take()) {
      const auto effect = liveness_.beat(a.service, a.beat, a.at);
      if (effect == liveness::effect::first || effect == liveness::effect::recovered)
        reporter_.observed(a.service, true, fmt::format("pid={}", a.beat.pid));
    }
  }

  void on_stop() {
    notify_.stopping();
    notify_.stopped();
    self_->quit();
  }

private:
  time_point now() const { return self_->clock().now(); }

  caf::event_based_actor* self_;
  std::shared_ptr<plan> plan_;
  config::watchdog limits_;
  liveness liveness_;
  reporter reporter_;
  notify notify_;
  std::shared_ptr<pulse::loop> pulse_;
  time_point began_;
};

struct observer_state {
  static inline const char* name = "observer";
  std::unique_ptr<observer_core> core;
};

caf::behavior observer_actor(caf::stateful_actor<observer_state>* self, std::shared_ptr<plan> p) {
  actor::guard(self, "observer");
  self->set_exit_handler([self](caf::exit_msg&) { self->state.core->on_stop(); });
  self->state.core = std::make_unique<observer_core>(self, p);
  return {[self](caf::tick_atom) { self->state.core->on_tick(); }};
}

} // namespace

actor::child_spec observer(service::runtime& rt, std::vector<service_entry> table) {
  auto p = std::shared_ptr<plan>(new plan{rt, std::move(table)});
  take_heartbeats(rt, p->table, [p](heartbeat_inbox::arrival a) { p->inbox.put(std::move(a)); });
  return {.id = "observer",
          .start = [p](caf::actor_system& system) { return system.spawn(observer_actor, p); }};
}

} // namespace holdfast::watchdog
