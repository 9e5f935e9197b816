#include "tests/simulation/keeper.hpp"

#include <algorithm>
#include <csignal>

namespace holdfast::simulation {

using namespace std::chrono_literals;
using watchdog::action;

namespace {
constexpr auto tick_period = 500ms;
constexpr auto beat_period = 250ms;
} // namespace

keeper::keeper(world& w, const config::watchdog& limits, std::vector<process*> table)
    : w_(w), limits_(limits), table_(std::move(table)), lives_(table_.size()), there_(table_.size()),
      policy_(limits, table_.size(), 10s), liveness_(limits, table_.size()) {
  for (std::size_t i = 0; i < table_.size(); ++i)
    table_[i]->watchers.push_back([this, i](bool up) {
      if (up)
        beat(i);
    });
}

void keeper::start() {
  policy_.start(w_.now());
  carry_out();
}

void keeper::turn() {
  if (!w_.has(defect::hang_unseen))
    for (auto& f : liveness_.tick(w_.now()))
      if (policy_.phase_of(f.service) == watchdog::phase::running)
        policy_.hung(f.service, f.reason, table_[f.service]->hung(), w_.now());
  policy_.tick(w_.now());
  carry_out();
}

// A hung process sends none.
void keeper::beat(std::size_t service) {
  auto& p = *table_[service];
  p.after(beat_period, [this, service, &p] {
    const watchdog::heartbeat h{.pid = static_cast<long>(lives_[service]), .incarnation = p.life(), .loops = {}};
    liveness_.beat(service, h, w_.now());
    beat(service);
  });
}

void keeper::carry_out() {
  for (auto actions = policy_.take(); !actions.empty(); actions = policy_.take())
    for (auto& a : actions)
      carry_out(a);
  auto due = w_.now() + tick_period;
  for (const auto& next : {policy_.next_due(), liveness_.next_due()})
    due = std::min(due, next.value_or(due));
  w_.after(std::max<duration>(due - w_.now(), 1ms), [this, n = ++turn_] {
    if (n == turn_)
      turn();
  });
}

void keeper::carry_out(const action& a) {
  auto& p = *table_[a.service];
  switch (a.what) {
    case action::type::start: return run(a.service);
    case action::type::terminate:
    case action::type::abort:
    case action::type::kill: return signal(p, a.reason.empty() ? "told to end" : a.reason);
    case action::type::quarantined: return w_.trace("watchdog", "quarantine of {}", p.name);
    default: return;
  }
}

void keeper::run(std::size_t service) {
  const auto life = ++lives_[service];
  there_[service] = true;
  policy_.started(service, w_.now());
  liveness_.watch(service, static_cast<long>(life), w_.now(), w_.now());
  w_.after(w_.load.between(20ms, 200ms), [this, service, life] {
    if (lives_[service] == life)
      table_[service]->start();
  });
}

void keeper::signal(process& p, const std::string& why) {
  const auto service = static_cast<std::size_t>(std::find(table_.begin(), table_.end(), &p) - table_.begin());
  if (!there_[service])
    return;
  there_[service] = false;
  p.kill(why);
  w_.after(1ms, [this, service, life = ++lives_[service]] {
    if (lives_[service] == life)
      gone(service, {.code = std::nullopt, .signal = SIGKILL});
  });
}

void keeper::gone(std::size_t service, watchdog::exit_status status) {
  liveness_.forget(service);
  policy_.exited(service, status, w_.now());
  carry_out();
}

} // namespace holdfast::simulation
