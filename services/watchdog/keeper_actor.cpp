#include "common/actor/guard.hpp"
#include "common/actor/slot.hpp"
#include "holdfast/v1/control.pb.h"
#include "services/watchdog/control.hpp"
#include "services/watchdog/exit_watch.hpp"
#include "services/watchdog/heartbeat_intake.hpp"
#include "services/watchdog/notify.hpp"
#include "services/watchdog/reporter.hpp"
#include "services/watchdog/restart_policy.hpp"
#include "services/watchdog/watchdog.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <unistd.h>

namespace holdfast::watchdog {

namespace {

/// A process ended (from exit_watch). `life` numbers the lives of all services.
struct process_gone { std::size_t service; std::uint64_t life; exit_status status; };
/// A heartbeat with news is in the inbox (from the bus).
struct look {};
/// Somebody asked for a restart (from the bus).
struct restart_order { std::size_t service; };
/// Time to look at everything. Timers cannot be cancelled: all but the last armed one are ignored.
struct turn { std::uint64_t number; };

} // namespace
} // namespace holdfast::watchdog

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::watchdog::process_gone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::watchdog::look)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::watchdog::restart_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::watchdog::turn)

namespace holdfast::watchdog {

namespace {

using namespace std::chrono_literals;

constexpr auto orphan_period = 1s;
constexpr int exit_running = 73;  // service::run: another process holds the instance's lock

/// What outlives one incarnation of the actor: foreign threads hold it too.
struct plan {
  service::runtime& rt;
  std::vector<service_entry> table;
  heartbeat_inbox inbox{};
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
        pulse_(plan_->rt.pulse().add("keeper", limits_.limit)), began_(now()) {
    policy_.start(began_);
    carry_out();
  }

  void on_turn(const turn& t) {
    if (t.number == turn_)
      on_look();
  }
  void on_look();
  void on_gone(const process_gone& gone);
  void on_restart(const restart_order& order);
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
  time_point reap_due_{};
  std::uint64_t lives_ = 0;
  std::uint64_t turn_ = 0;
  exit_watch exits_;  // last: its thread ends first
};

// -- events -----------------------------------------------------------------------------------------------------------

void keeper_core::on_look() {
  const auto at = now();
  pulse_->beat();
  take_beats();
  const auto pace = check_own_pace(plan_->rt);
  if (!pace.judgeable)
    liveness_.excuse(at);
  judge(at);
  policy_.tick(at);
  tell_outside(at, pace.fit);
  reap(at);
  carry_out();
}

void keeper_core::take_beats() {
  for (auto& a : plan_->inbox.take())
    if (liveness_.beat(a.service, a.beat, a.at) == liveness::effect::first
        && policy_.phase_of(a.service) == phase::running)
      reporter_.running(a.service);
}

void keeper_core::judge(time_point t) {
  for (auto& f : liveness_.tick(t)) {
    if (policy_.phase_of(f.service) != phase::running)
      continue;  // it is being stopped, and the policy has a deadline for that
    reporter_.hung(f.service, f.reason);
    const auto& it = held_[f.service].it;
    policy_.hung(f.service, f.reason, it && it->frozen(), t);
  }
  reporter_.excuses(liveness_.excuses());
}

void keeper_core::on_gone(const process_gone& gone) {
  auto& h = held_[gone.service];
  if (h.life != gone.life)
    return;
  h.it.reset();
  h.last = gone.status;
  liveness_.forget(gone.service);
  // Our child met one that was there before it: a predecessor's, which had no lock yet when we looked, or one that was
  // killed and kept its lock until it was gone.
  const bool met = gone.status.code == exit_running && policy_.phase_of(gone.service) == phase::running;
  if (met && adopt(gone.service))
    return carry_out();
  policy_.exited(gone.service, gone.status, now(), met && process::ended(holder(gone.service)));
  carry_out();
}

void keeper_core::on_restart(const restart_order& order) {
  log::info("restart requested process={}", plan_->table[order.service].name);
  policy_.restart(order.service, now());
  carry_out();
}

void keeper_core::on_stop() {
  plan_->stopping = true;
  notify_.stopping();
  policy_.stop(now());
  carry_out();
}

// -- actions ----------------------------------------------------------------------------------------------------------

void keeper_core::carry_out() {
  for (auto actions = policy_.take(); !actions.empty(); actions = policy_.take())
    for (auto& a : actions)
      carry_out(a);
  arm();
}

void keeper_core::carry_out(const action& a) {
  switch (a.what) {
    case action::type::start: return start(a.service);
    case action::type::terminate:
      reporter_.stopping(a.service);
      signal(a.service, SIGTERM);
      return signal(a.service, SIGCONT);  // a stopped process could not end in order
    case action::type::abort: return signal(a.service, SIGABRT);
    case action::type::kill:
      signal(a.service, SIGKILL);
      return reporter_.killed(a.service, a.reason.empty() ? "did not stop in time" : a.reason);
    case action::type::failed: return reporter_.failed(a.service, held_[a.service].last, a.reason, a.wait);
    case action::type::ended: return reporter_.stopped(a.service, held_[a.service].last, a.reason);
    case action::type::quarantined: return reporter_.quarantined(a.service, a.reason, a.wait);
    case action::type::recovered: return reporter_.recovered(a.service);
    case action::type::all_gone:
      notify_.stopped();
      return self_->quit();
  }
}

void keeper_core::start(std::size_t service) {
  if (adopt(service))
    return;
  try {
    hold(service, process::spawn(plan_->table[service].command), false);
  } catch (const std::exception& e) {
    held_[service].last = {};
    policy_.start_failed(service, e.what(), now());
  }
}

long keeper_core::holder(std::size_t service) const {
  return service::lock_holder(plan_->rt.config().run_directory, plan_->table[service].name);
}

bool keeper_core::adopt(std::size_t service) {
  auto running = process::adopt(holder(service), plan_->table[service].command);
  if (!running)
    return false;
  hold(service, std::move(*running), true);
  return true;
}

void keeper_core::hold(std::size_t service, process p, bool adopted) {
  const auto age = adopted ? p.age() : 0ms;
  const auto at = now();
  auto& h = held_[service];
  h.life = ++lives_;
  policy_.started(service, at - age);
  liveness_.watch(service, p.pid(), at - age, at);
  reporter_.started(service, p.pid(), policy_.restarts(service), age, adopted);
  exits_.add(p, [owner = plan_, service, life = h.life](const exit_status& status) {
    owner->slot.send(process_gone{service, life, status});
  });
  h.it = std::move(p);
}

void keeper_core::signal(std::size_t service, int number) {
  if (const auto& it = held_[service].it)
    it->signal(number);
}

void keeper_core::tell_outside(time_point t, bool fit) {
  notify_.tick(t, fit);
  notify_.status(reporter_.summary());
  if (limits_.feed_device)
    reporter_.device(notify_.device_trouble());
  if (!policy_.stopping() && (liveness_.all_seen() || t - began_ >= limits_.start_limit))
    notify_.ready();
}

void keeper_core::reap(time_point t) {
  if (::getpid() != 1 || t < reap_due_)
    return;
  reap_due_ = t + orphan_period;
  std::vector<long> own;
  for (auto& h : held_)
    if (h.it)
      own.push_back(h.it->pid());
  reap_orphans(own);
}

void keeper_core::arm() {
  const auto at = now();
  auto due = at + tick_period;
  for (const auto& next : {policy_.next_due(), liveness_.next_due()})
    due = std::min(due, next.value_or(due));
  self_->delayed_send(self_, std::max(due, at + 1ms) - at, turn{++turn_});
}

// -- actor ------------------------------------------------------------------------------------------------------------

struct keeper_state {
  static inline const char* name = "keeper";
  std::unique_ptr<keeper_core> core;
};

caf::behavior keeper_actor(caf::stateful_actor<keeper_state>* self, std::shared_ptr<plan> p) {
  actor::guard(self, "keeper");
  p->slot.set(caf::actor_cast<caf::actor>(self));
  self->set_exit_handler([self](caf::exit_msg&) { self->state.core->on_stop(); });
  self->state.core = std::make_unique<keeper_core>(self, p);
  return {
    [self](const turn& t) { self->state.core->on_turn(t); },
    [self](const look&) { self->state.core->on_look(); },
    [self](const process_gone& g) { self->state.core->on_gone(g); },
    [self](const restart_order& o) { self->state.core->on_restart(o); },
  };
}

} // namespace

actor::child_spec keeper(service::runtime& rt, std::vector<service_entry> table) {
  auto p = std::shared_ptr<plan>(new plan{rt, std::move(table)});
  take_heartbeats(rt, p->table, [p](heartbeat_inbox::arrival a) {
    if (p->inbox.put(std::move(a)))
      p->slot.send(look{});
  });
  rt.on_control([p](const v1::ControlRequest& request, const service::runtime::control_answer& answer) {
    v1::ControlReply reply;
    const bool mine = answer_restart(p->table, p->stopping, request, reply,
                                     [&](std::size_t service) { p->slot.send(restart_order{service}); });
    if (mine)
      answer(reply);
    return mine;
  });
  return {.id = "keeper",
          .start = [p](caf::actor_system& system) { return system.spawn(keeper_actor, p); },
          .policy = actor::restart::permanent,
          .grace = actor_grace};
}

} // namespace holdfast::watchdog
