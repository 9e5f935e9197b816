#include "common/actor/guard.hpp"
#include "holdfast/v1/control.pb.h"
#include "services/watchdog/control.hpp"
#include "services/watchdog/keeper_core.hpp"

namespace holdfast::watchdog {

namespace {

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
    [self](const turn&) { self->state.core->on_look(); },
    [self](const look&) { self->state.core->on_look(); },
    [self](const process_gone& g) { self->state.core->on_gone(g); },
    [self](const ordered&) { self->state.core->on_orders(); },
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
    const auto order = [&](std::size_t service) {
      if (p->orders.put(service))
        p->slot.send(ordered{});
    };
    const bool mine = answer_restart(p->table, p->stopping, request, reply, order);
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
