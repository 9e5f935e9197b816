#include "services/health/health.hpp"

#include "common/actor/guard.hpp"
#include "common/actor/slot.hpp"
#include "services/health/actors.hpp"
#include "services/health/web.hpp"

namespace holdfast::health {

namespace {

constexpr milliseconds retry_pause{5000};

struct web_state {
  static inline const char* name = "web";

  caf::stateful_actor<web_state>* self = nullptr;
  std::shared_ptr<const web_parts> parts;
  std::unique_ptr<web_server> server;

  // Without its page health still watches, alarms and taps: a taken port is a state, not the end of the process.
  void open() {
    try {
      server = std::make_unique<web_server>(parts->listen, parts->pulse, parts->metrics,
                                            [monitor = parts->where.monitor] { monitor->send(want_picture{}); });
      parts->set_state("listening", parts->listen.text(), true);
    } catch (const std::exception& e) {
      parts->set_state("failed", e.what(), false);
      self->delayed_send(self, retry_pause, caf::tick_atom::value);
    }
  }

  void show(const have_picture& p) {
    if (server)
      server->show(p.value);
  }
};

caf::behavior web(caf::stateful_actor<web_state>* self, std::shared_ptr<const web_parts> parts) {
  actor::guard(self, "web");
  self->state.self = self;
  self->state.parts = std::move(parts);
  self->state.parts->where.web->set(self);
  self->state.open();
  return {
    [self](caf::tick_atom) { self->state.open(); },
    [self](const have_picture& p) { self->state.show(p); },
  };
}

} // namespace

caf::actor spawn_web(caf::actor_system& system, std::shared_ptr<const web_parts> parts) {
  return system.spawn(web, std::move(parts));
}

} // namespace holdfast::health
