// SOURCE: one configured source. Its intake brings bytes or samples; this actor frames, batches and keeps the batches
// until the store has them. What can wait (TCP) waits while the window is full; what cannot is dropped, counted, and
// becomes a gap record. Here: its life and the store's side.

#include "services/acquisition/source_state.hpp"

#include "common/actor/guard.hpp"
#include "holdfast/v1/ingest.pb.h"

namespace holdfast::acquisition {

namespace {

using namespace std::chrono_literals;
using clock = producer::clock;

constexpr auto tick_period = 250ms;
constexpr auto drain_deadline = 3000ms;  // on stop: for what was read to reach the disk

bool confirms_of(const config::source& s) {
  if (auto* t = std::get_if<config::tcp_server_source>(&s.kind))
    return t->confirm == config::confirm_kind::count;
  if (auto* t = std::get_if<config::tcp_client_source>(&s.kind))
    return t->confirm == config::confirm_kind::count;
  return false;
}

} // namespace

void source_state::open() {
  const metrics::labels tags{{"source", settings.name}};
  count = std::make_unique<source_figures>(ctx->rt.metrics(), tags);
  records = std::make_unique<recorder>(settings, ctx->boot_id);
  records->set_synchronised(clock_synchronised());
  store = std::make_unique<producer>(settings.window.count);
  confirms = confirms_of(settings);
  can_wait = std::holds_alternative<config::tcp_server_source>(settings.kind)
             || std::holds_alternative<config::tcp_client_source>(settings.kind);
  auto slot = ctx->sources.at(producer_id);
  ctx->rt.set_state("source:" + settings.name, "starting", {}, true);
  slot->set(caf::actor_cast<caf::actor>(self));  // before the flag is read: a change after that finds us
  carry_out(store->reachable(ctx->store_reachable, clock::now()));
  intake = make_intake({ctx, slot, settings});
  intake->start();
}

// -- store ------------------------------------------------------------------------------------------------------------

void source_state::carry_out(producer::actions&& a) {
  if (a.hello)
    hello();
  for (auto& b : a.send) {
    v1::ProducerMessage m;
    auto& o = *m.mutable_offer();
    o.set_producer(producer_id);
    o.set_session(session);
    o.set_producer_seq(b.seq);
    o.set_record_count(b.records);
    o.set_crc32c(b.crc);
    o.set_position(std::to_string(b.total));
    ctx->rt.bus().send(ctx->store, {{}, {blob(m.SerializeAsString()), b.payload}});
  }
  count->show(*records, *store);
}

void source_state::hello() {
  v1::ProducerMessage m;
  m.mutable_hello()->set_producer(producer_id);
  m.mutable_hello()->set_session(session);
  m.mutable_hello()->set_record_class(settings.record_class);
  ctx->rt.bus().send(ctx->store, {{}, {blob(m.SerializeAsString())}});
  self->delayed_send(self, store->hello_wait(), greet_due{});
}

void source_state::on_store(const v1::StoreMessage& m) {
  const auto now_ = clock::now();
  if (m.has_welcome() && m.welcome().session() == session) {
    auto& w = m.welcome();
    const auto total = w.position().empty() ? 0 : std::strtoull(w.position().c_str(), nullptr, 10);
    carry_out(store->welcomed(w.last_seq(), total, w.window_bytes(), now_));
  } else if (m.has_ack() && m.ack().session() == session) {
    carry_out(store->acknowledged(m.ack().last_seq(), m.ack().window_bytes(), now_));
  } else if (m.has_refusal() && m.refusal().session() == session) {
    auto& r = m.refusal();
    log::warn("store refused source={} seq={} cause=\"{}\"", settings.name, r.producer_seq(), r.detail());
    if (r.reason() == v1::ProducerRefusal::REASON_OVERSIZE)
      records->lost(store->rejected(r.producer_seq()));
    if (r.reason() == v1::ProducerRefusal::REASON_UNKNOWN_CLASS)
      return ctx->rt.set_state("source:" + settings.name, "refused", r.detail(), false);
    carry_out(store->refused(now_));
  } else {
    return;
  }
  if (store->settled())
    close_batch();
  resume_devices();
  confirm();
  quit_if_drained();
}

void source_state::resume_devices() {
  if (!store->room())
    return;
  for (auto& [key, d] : devices) {
    if (!d.held)
      continue;
    d.held = false;
    d.line->resume();
  }
}

// The count of records on disk, one decimal line each time it grew. A device that has just connected gets it first, and
// may send then: it drops what the count covers and repeats the rest.
void source_state::confirm() {
  if (!confirms || !store->open())
    return;
  const auto total = store->total_committed();
  for (auto& [key, d] : devices) {
    if (!d.greeted && !(store->settled() && records->empty()))
      continue;
    if (d.greeted && total == confirmed)
      continue;
    d.line->write(std::to_string(total) + "\n");
    if (!d.greeted)
      d.line->resume();
    d.greeted = true;
  }
  confirmed = total;
}

// -- life -------------------------------------------------------------------------------------------------------------

void source_state::on_tick() {
  beat->beat();
  records->set_synchronised(clock_synchronised());
  carry_out(store->tick(clock::now()));
  tell_gaps();
  if (stopping)
    quit_if_drained();
}

void source_state::stop() {
  if (stopping)
    return;
  stopping = true;
  stop_by = clock::now() + drain_deadline;
  intake->stop();
  quit_if_drained();
}

void source_state::quit_if_drained() {
  if (!stopping)
    return;
  tell_gaps();
  close_batch();
  if (heard_all && store->settled())
    return self->quit();
  if (clock::now() < stop_by)
    return;
  log::warn("source stops with unacknowledged records source={} records={}", settings.name, store->kept_records());
  self->quit();
}

namespace {

caf::behavior source(caf::stateful_actor<source_state>* self, std::shared_ptr<context> ctx, config::source settings) {
  actor::guard(self, "SOURCE " + settings.name);
  auto& st = self->state;
  st.self = self;
  st.ctx = std::move(ctx);
  st.settings = std::move(settings);
  st.producer_id = producer_name(st.settings);
  st.beat = st.ctx->rt.pulse().add("source:" + st.settings.name, std::chrono::seconds(5));
  st.open();
  self->set_exit_handler([self](caf::exit_msg& m) {
    if (m.reason == caf::exit_reason::kill)
      return self->quit(m.reason);
    self->state.stop();
  });
  self->delayed_send(self, tick_period, caf::tick_atom::value);
  return {
    [self](const received& r) { self->state.on_received(r); },
    [self](const from_store& m) { self->state.on_store(*m.message); },
    [self](const datagram& d) { self->state.on_datagram(d); },
    [self](const unheard& u) { self->state.records->lost(u.count); },
    [self](const sampled& s) { self->state.on_sampled(s); },
    [self](const linger_due& l) {
      if (l.batch == self->state.batch_number)
        self->state.close_batch();
    },
    [self](const went_idle& w) { self->state.on_idle(w); },
    [self](const connected& c) { self->state.on_connected(c); },
    [self](const disconnected& d) { self->state.on_disconnected(d); },
    [self](const store_there& t) {
      self->state.carry_out(self->state.store->reachable(t.yes, clock::now()));
    },
    [self](const intake_state& i) { self->state.ctx->rt.set_state(i.component, i.state, i.detail, i.healthy); },
    [self](const intake_ended&) {
      self->state.heard_all = self->state.stopping;  // that of an earlier life says it too
      self->state.quit_if_drained();
    },
    [self](const greet_due&) { self->state.carry_out(self->state.store->tick(clock::now())); },
    [self](caf::tick_atom) {
      self->state.on_tick();
      self->delayed_send(self, tick_period, caf::tick_atom::value);
    },
  };
}

} // namespace

std::string producer_name(const config::source& s) { return "acquisition/" + s.name; }

caf::actor spawn_source(caf::actor_system& system, std::shared_ptr<context> ctx, config::source settings) {
  return system.spawn(source, std::move(ctx), std::move(settings));
}

} // namespace holdfast::acquisition
