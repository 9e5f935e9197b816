// DISPATCHER: leases stored batches to links and takes their acknowledgements. It reads the file, never writes it.
// Here: its life, and what WRITER says.

#include "services/store/dispatcher_state.hpp"

#include "common/actor/guard.hpp"
#include "common/telemetry/log.hpp"

#include <fmt/format.h>

namespace holdfast::store {

namespace {
using namespace std::chrono_literals;
constexpr auto beat_period = 500ms;
} // namespace

void dispatcher_state::open() {
  auto& c = ctx->rt.config();
  cache = std::make_unique<live_cache>(c.store.live_cache.count);
  const route_board::kept kept{ctx->file->links(), ctx->file->journals()};
  for (auto& d : c.destinations)
    boards.emplace(d.name, route_board(c, d.name, kept, present()));
  auto& m = ctx->rt.metrics();
  dispatched = &m.counter("holdfast_store_dispatched_total", "Batches handed to links, repeats included");
  reread = &m.counter("holdfast_store_reread_total", "Batches read back from disk for dispatch");
  checked = &m.counter("holdfast_store_checked_total",
                       "Batches compared because a destination said it had them already");
  damaged = &m.counter("holdfast_store_damaged_total", "Batches whose checksum failed");
}

// -- from WRITER ------------------------------------------------------------------------------------------------------

void dispatcher_state::on_undelivered(const undelivered& u) {
  informed = true;
  for (auto& [name, board] : boards)
    for (auto& [record_class, last] : u.heads)
      board.plan.opened(record_class, last);
  for (auto& e : u.entries)
    if (auto board = boards.find(e.destination); board != boards.end())
      for (auto& r : e.ranges)
        board->second.plan.add_backlog(e.record_class, r);
  pump();
}

void dispatcher_state::on_stored(const stored& s) {
  if (!informed)
    return;  // `undelivered` is behind this in the mailbox and covers it
  for (auto& b : s.batches) {
    cache->put(b);
    for (auto& [name, board] : boards)
      board.plan.stored(b.record_class, b.seqs);
  }
  pump();
}

// Every session was opened under the old epoch: the uplinks say hello again and open new ones.
void dispatcher_state::on_renewed() {
  renewing = false;
  for (auto& [name, board] : boards)
    board.renewed(present());
  for (auto& [name, link] : std::exchange(links, {}))
    refuse(link.peer, link.session, v1::LinkRefusal::REASON_OTHER_EPOCH, name);
  tell();
}

// -- life -------------------------------------------------------------------------------------------------------------

namespace {

caf::behavior dispatcher(caf::stateful_actor<dispatcher_state>* self, std::shared_ptr<context> ctx) {
  actor::guard(self, "DISPATCHER");
  auto& st = self->state;
  st.self = self;
  st.ctx = std::move(ctx);
  st.beat = st.ctx->rt.pulse().add("dispatcher", std::chrono::seconds(10));
  st.open();
  self->send(st.ctx->writer.get(), subscribe{});  // started before this one, and restarted with it
  self->delayed_send(self, beat_period, caf::tick_atom::value);
  return {
    [self](const stored& s) { self->state.on_stored(s); },
    [self](const from_link& m) { self->state.on_link(m); },
    [self](const undelivered& u) { self->state.on_undelivered(u); },
    [self](const renewed&) { self->state.on_renewed(); },
    [self](const pump_due&) {
      self->state.pump_scheduled = false;
      self->state.pump();
    },
    [self](const route_due&) { self->state.on_route_due(); },
    [self](const link_command& c) { self->state.on_command(c); },
    [self](caf::tick_atom) {
      self->state.on_route_due();
      self->state.figures();
      self->delayed_send(self, beat_period, caf::tick_atom::value);
    },
  };
}

} // namespace

caf::actor spawn_dispatcher(caf::actor_system& system, std::shared_ptr<context> ctx) {
  auto a = system.spawn(dispatcher, ctx);
  ctx->dispatcher.set(a);
  return a;
}

} // namespace holdfast::store
