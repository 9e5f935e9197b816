#include "services/watchdog/keeper_core.hpp"

#include "common/telemetry/log.hpp"

namespace holdfast::watchdog {

namespace {
constexpr int exit_running = 73;  // service::run: another process holds the instance's lock
} // namespace

void keeper_core::on_look() {
  const auto at = now();
  looked_ = at;
  wake_.woke(at);
  pulse_->beat();
  take_orders();
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

void keeper_core::on_orders() {
  take_orders();
  carry_out();
}

void keeper_core::take_orders() {
  for (const auto service : plan_->orders.take()) {
    log::info("restart requested process={}", plan_->table[service].name);
    policy_.restart(service, now());
  }
}

void keeper_core::on_stop() {
  plan_->stopping = true;
  notify_.stopping();
  policy_.stop(now());
  carry_out();
}

} // namespace holdfast::watchdog
