// DISPATCHER: leases stored batches to links and takes their acknowledgements. It reads the file, never writes it.
// Here: its life, and what WRITER and the links say.

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
  for (auto& d : c.destinations) {
    std::vector<dispatch_plan::record_class> classes;
    for (auto& rc : c.classes)
      if (d.classes.empty() || std::find(d.classes.begin(), d.classes.end(), rc.name) != d.classes.end())
        classes.push_back({rc.name, rc.priority});
    plans.emplace(d.name, dispatch_plan(std::move(classes), c.store.backlog_share));
  }
  auto& m = ctx->rt.metrics();
  dispatched = &m.counter("holdfast_store_dispatched_total", "Batches handed to links, repeats included");
  reread = &m.counter("holdfast_store_reread_total", "Batches read back from disk for dispatch");
  checked = &m.counter("holdfast_store_checked_total", "Batches compared because a destination said it had them already");
  damaged = &m.counter("holdfast_store_damaged_total", "Batches whose checksum failed");
}

// -- from WRITER --------------------------------------------------------------------------------------------------------

void dispatcher_state::on_undelivered(const undelivered& u) {
  informed = true;
  for (auto& [name, plan] : plans)
    for (auto& [record_class, last] : u.heads)
      plan.opened(record_class, last);
  for (auto& e : u.entries)
    if (auto plan = plans.find(e.destination); plan != plans.end())
      for (auto& r : e.ranges)
        plan->second.add_backlog(e.record_class, r);
  pump();
}

void dispatcher_state::on_stored(const stored& s) {
  if (!informed)
    return;  // `undelivered` is behind this in the mailbox and covers it
  for (auto& b : s.batches) {
    cache->put(b);
    for (auto& [name, plan] : plans)
      plan.stored(b.record_class, b.seqs);
  }
  pump();
}

// Every session was opened under the old epoch: the uplinks say hello again and open new ones.
void dispatcher_state::on_renewed() {
  renewing = false;
  for (auto& [name, plan] : plans)
    plan.renewed();
  for (auto& [name, link] : std::exchange(links, {}))
    refuse(link.peer, link.session, v1::LinkRefusal::REASON_OTHER_EPOCH, name);
}

// -- from links ---------------------------------------------------------------------------------------------------------

void dispatcher_state::on_link(const from_link& m) {
  beat->beat();
  if (!informed)
    return;  // they say it again
  switch (m.message->message_case()) {
    case v1::LinkMessage::kHello: return on_hello(m.peer, m.message->hello());
    case v1::LinkMessage::kReady: return on_ready(m.peer, m.message->ready());
    case v1::LinkMessage::kDelivered: return on_delivered(m.peer, m.message->delivered());
    case v1::LinkMessage::kDown: return on_down(m.message->down());
    case v1::LinkMessage::kRejected: return on_rejected(m.peer, m.message->rejected());
    case v1::LinkMessage::kStatus: return;  // nothing is done with it yet
    case v1::LinkMessage::MESSAGE_NOT_SET: return;
  }
}

attached_link* dispatcher_state::find(const std::string& link, std::uint64_t session) {
  auto it = links.find(link);
  return it != links.end() && it->second.session == session ? &it->second : nullptr;
}

attached_link* dispatcher_state::current(const std::string& peer, const std::string& link, std::uint64_t session,
                                         std::uint64_t epoch) {
  auto* found = find(link, session);
  if (found == nullptr)
    refuse(peer, session, v1::LinkRefusal::REASON_UNKNOWN_SESSION, link);
  else if (epoch != ctx->file->epoch())
    refuse(peer, session, v1::LinkRefusal::REASON_OTHER_EPOCH, link);
  else
    return found;
  return nullptr;
}

void dispatcher_state::on_hello(const std::string& peer, const v1::LinkHello& h) {
  auto plan = plans.find(h.destination());
  if (plan == plans.end())
    return refuse(peer, h.session(), v1::LinkRefusal::REASON_UNKNOWN_DESTINATION, h.destination());
  plan->second.link_down(h.link());
  links[h.link()] = {peer, h.destination(), h.session()};
  v1::RouteMessage m;
  m.mutable_welcome()->set_session(h.session());
  m.mutable_welcome()->set_gateway(ctx->rt.config().name);
  m.mutable_welcome()->set_epoch(ctx->file->epoch());
  send(peer, m);
  ctx->rt.set_state("link:" + h.link(), "attached", "no session yet");
}

void dispatcher_state::on_ready(const std::string& peer, const v1::LinkReady& r) {
  const auto* link = current(peer, r.link(), r.session(), r.epoch());
  if (link == nullptr)
    return;
  std::map<std::string, std::vector<seq_range>> present;
  for (auto& c : r.present())
    for (auto& range : c.ranges())
      if (range.first() > 0 && range.last() >= range.first())
        present[c.record_class()].push_back({range.first(), range.last()});
  auto& plan = plans.at(link->destination);
  plan.link_ready(r.link(), r.window_bytes());
  plan.reconcile(present);
  ctx->rt.set_state("link:" + r.link(), "active", fmt::format("window {} bytes", r.window_bytes()));
  pump();
}

void dispatcher_state::take_confirmed(const std::string& destination, const std::string& record_class, seq_range r) {
  if (!ctx->file->has_class(record_class) || r.first == 0 || r.last < r.first)
    return;
  plans.at(destination).delivered(record_class, r, dispatch_plan::clock::now());
  ctx->writer.send(confirmed{destination, record_class, {r}});
}

void dispatcher_state::on_delivered(const std::string& peer, const v1::Delivered& d) {
  const auto* link = current(peer, d.link(), d.session(), d.epoch());
  if (link == nullptr)
    return;
  for (auto& c : d.delivered())
    for (auto& r : c.ranges())
      take_confirmed(link->destination, c.record_class(), {r.first(), r.last()});
  pump();
}

void dispatcher_state::on_rejected(const std::string& peer, const v1::Rejected& r) {
  const auto* link = current(peer, r.link(), r.session(), r.epoch());
  if (link == nullptr)
    return;
  using why = dispatch_plan::rejection;
  const auto reason = r.reason() == v1::Rejected::REASON_CONFLICT ? why::conflict
                      : r.reason() == v1::Rejected::REASON_MISSING ? why::missing : why::oversize;
  if (reason != why::missing)
    log::error("batch rejected destination={} class={} first_seq={} records={} cause=\"{}\"", link->destination,
               r.record_class(), r.first_seq(), r.record_count(), r.detail());
  plans.at(link->destination).rejected(r.record_class(), r.first_seq(), reason, dispatch_plan::clock::now());
  if (reason == why::oversize)
    ctx->rt.alarm("rejected:" + link->destination, true, r.detail());
  pump();
}

void dispatcher_state::on_down(const v1::LinkDown& d) {
  auto* link = find(d.link(), d.session());
  if (link == nullptr)
    return;
  plans.at(link->destination).link_down(d.link());
  ctx->rt.set_state("link:" + d.link(), "down", d.reason());
  pump();
}

void dispatcher_state::refuse(const std::string& peer, std::uint64_t session, v1::LinkRefusal::Reason why,
                              const std::string& detail) {
  v1::RouteMessage m;
  m.mutable_refusal()->set_session(session);
  m.mutable_refusal()->set_reason(why);
  m.mutable_refusal()->set_detail(detail);
  send(peer, m);
}

// -- life ---------------------------------------------------------------------------------------------------------------

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
    [self](caf::tick_atom) {
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
