#include "services/health/health.hpp"

#include "common/actor/guard.hpp"
#include "common/actor/slot.hpp"
#include "common/core/time.hpp"
#include "holdfast/v1/events.pb.h"
#include "services/health/actors.hpp"
#include "services/health/thresholds.hpp"

#include <unistd.h>

namespace holdfast::health {

namespace {

// Bounds how late silence is noticed; readers get what has arrived by then whatever the tick.
constexpr milliseconds tick_period{500};
// Above the slowest turn we know: a full inbox, or a large process's page tables.
constexpr milliseconds pulse_limit{5000};
constexpr std::int64_t nanos_per_milli = 1'000'000;

struct monitor_state {
  static inline const char* name = "monitor";

  caf::stateful_actor<monitor_state>* self = nullptr;
  std::shared_ptr<const monitor_parts> parts;
  std::shared_ptr<pulse::loop> beat;
  std::unique_ptr<fleet> known;
  std::unique_ptr<alarm_book> alarms;
  std::unique_ptr<proc::sampler> sampler;
  milliseconds started{0};
  milliseconds sample_due{0};

  instant now() const {
    const auto since = self->clock().now().time_since_epoch();
    return {std::chrono::duration_cast<milliseconds>(since), unix_nanos() / nanos_per_milli};
  }

  void open() {
    started = sample_due = now().monotonic;
    beat = parts->pulse.add("monitor", pulse_limit);
    known = std::make_unique<fleet>(parts->gateway, parts->version, parts->members);
    sampler = std::make_unique<proc::sampler>(parts->run_directory, parts->disk_directory);
    alarms = std::make_unique<alarm_book>(thresholds{}, started, [this](auto& n, bool raised, auto& text) {
      parts->alarm(n, raised, text);
      known->note_own_alarm(n, raised, text, now());
    });
    show_self(now());  // so that its own process is sampled like the others
    parts->where.monitor->set(self);
    tick();
  }

  void tick() {
    beat->beat();
    const auto t = now();
    take_all(t);
    known->turn(t);
    alarms->judge_presence(known->instances(), t.monotonic);
    if (known->status_due(t.monotonic))
      parts->ask_status();
    if (t.monotonic >= sample_due)
      sample(t);
    self->delayed_send(self, tick_period, caf::tick_atom::value);
  }

  void take_all(instant t) {
    for (auto& item : parts->box->take()) {
      if (item.what == inbox::kind::event)
        known->take(item.parts, t);
      else
        known->take_status(item.parts, t);
    }
    known->set_overrun(parts->box->dropped());
  }

  void sample(instant t) {
    sample_due = t.monotonic + parts->interval;
    for (auto& i : known->instances())
      if (i.heard)
        known->set_usage(i.name, sampler->process(i.name, i.pid, t.monotonic));
    const auto m = sampler->read_machine();
    known->set_machine(m);
    alarms->judge_machine(m);
  }

  void show_self(instant t) {
    std::vector<loop_age> loops;
    for (auto& l : parts->pulse.loops())
      loops.push_back({l->name(), l->age(), l->limit()});
    auto figures = std::make_shared<v1::Metrics>();
    parts->metrics.snapshot(*figures);
    known->keep_self(t, ::getpid(), t.monotonic - started, std::move(loops), std::move(figures));
  }

  void answer() {
    const auto t = now();
    take_all(t);
    show_self(t);
    parts->where.web->send(have_picture{known->snapshot(t)});
  }
};

caf::behavior monitor(caf::stateful_actor<monitor_state>* self, std::shared_ptr<const monitor_parts> parts) {
  actor::guard(self, "monitor");
  self->state.self = self;
  self->state.parts = std::move(parts);
  self->state.open();
  return {
    [self](caf::tick_atom) { self->state.tick(); },
    [self](const want_picture&) { self->state.answer(); },
  };
}

} // namespace

caf::actor spawn_monitor(caf::actor_system& system, std::shared_ptr<const monitor_parts> parts) {
  return system.spawn(monitor, std::move(parts));
}

} // namespace holdfast::health
