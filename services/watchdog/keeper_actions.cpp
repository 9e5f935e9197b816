// KEEPER, its deeds: what the policy wants is done to processes.

#include "services/watchdog/keeper_core.hpp"

#include <algorithm>
#include <csignal>
#include <unistd.h>

namespace holdfast::watchdog {

namespace {

using namespace std::chrono_literals;

constexpr auto orphan_period = 1s;

} // namespace

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
  auto due = looked_ + tick_period;
  for (const auto& next : {policy_.next_due(), liveness_.next_due()})
    due = std::min(due, next.value_or(due));
  due = std::max(due, at + 1ms);
  if (wake_.arm(due))
    self_->delayed_send(self_, due - at, turn{});
}

} // namespace holdfast::watchdog
