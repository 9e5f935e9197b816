// SESSION: two conversations that need each other. With the store: hello, welcome (gateway and epoch), ready, batches
// in, delivered ranges out. With the destination: hello with that epoch, welcome with what it already has, data, acks.
// Here: its life and the store's side.

#include "services/uplink/session_state.hpp"

#include "common/actor/guard.hpp"

#include <fmt/format.h>

namespace holdfast::uplink {

using namespace std::chrono_literals;
using clock = heartbeat::clock;

namespace {
constexpr auto tick_period = 250ms;
constexpr int acknowledgement_timeouts = 3;  // times the heartbeat's: a busy disk there may take seconds
} // namespace

void session_state::open() {
  figures = std::make_unique<link_figures>(ctx->rt.metrics(), link().name);
  retry = std::make_unique<uplink::reconnect>(link().reconnect);
  life = std::make_unique<heartbeat>(link().heartbeat_interval, link().heartbeat_timeout);
  state("waiting", "for the store", false);
  open_watch();
  ctx->session.set(caf::actor_cast<caf::actor>(self));  // before the flag is read: a change after that finds us
  on_store_there(ctx->store_reachable);
}

// -- store ------------------------------------------------------------------------------------------------------------

void session_state::on_store_there(bool yes) {
  store_reachable = yes;
  hello.over();
  if (yes)
    say_hello();
}

void session_state::say_hello() {
  if (!store_reachable)
    return;
  hello.said(clock::now());
  self->delayed_send(self, hello.wait(), hello_due{});
  v1::LinkMessage m;
  m.mutable_hello()->set_link(link().name);
  m.mutable_hello()->set_session(id);
  m.mutable_hello()->set_destination(link().destination);
  to_store(m);
}

void session_state::on_store(const from_store& m) {
  auto& r = *m.message;
  if (r.has_welcome() && r.welcome().session() == id)
    on_welcome(r.welcome());
  else if (r.has_dispatch() && r.dispatch().session() == id)
    on_dispatch(r.dispatch(), m.payload);
  else if (r.has_order() && r.order().session() == id)
    on_order(r.order());
  else if (r.has_refusal() && r.refusal().session() == id)
    on_refusal(r.refusal());
}

void session_state::on_welcome(const v1::LinkWelcome& w) {
  const auto news = store.welcome(w.gateway(), w.epoch(), w.life(), hello.asking());
  hello.over();
  // A store that came back has leased nothing to us. What the destination still acknowledges was sent for the old one,
  // and the new one may give the same numbers to other records: so that is not heard, and the next welcome tells what
  // is there.
  if (line && (news == patron::news::other || (established && news == patron::news::anew)))
    forget_line("the store began anew");
  report();
  if (!line)  // otherwise it is on its way
    connect();
}

void session_state::on_refusal(const v1::LinkRefusal& r) {
  if (r.reason() == v1::LinkRefusal::REASON_UNKNOWN_DESTINATION)
    return state("refused", fmt::format("the store knows no destination {}", link().destination), false);
  if (!hello.asking())  // one hello is enough for a burst of refusals
    say_hello();
}

void session_state::ready(const v1::WireWelcome& w) {
  v1::LinkMessage m;
  auto& r = *m.mutable_ready();
  r.set_link(link().name);
  r.set_session(id);
  r.set_epoch(store.epoch());
  r.set_connection(attempt);
  r.set_window_bytes(link().window.count);
  *r.mutable_present() = w.present();
  *r.mutable_elsewhere() = w.elsewhere();
  to_store(m);
}

void session_state::on_dispatch(const v1::Dispatch& d, const blob& payload) {
  if (!established)
    return;  // its lease went back with LinkDown
  if (d.connection() != 0 && d.connection() != attempt)
    return;  // so did this one's: it was on its way when its connection ended
  if (!store_reachable || hello.asking())
    return;  // the bus broke: what went before this may be lost, and the leases of all end with our hello
  if (payload.size() > max_frame) {
    v1::Rejected r;
    r.set_record_class(d.record_class());
    r.set_first_seq(d.first_seq());
    r.set_record_count(d.record_count());
    r.set_reason(v1::Rejected::REASON_OVERSIZE);
    r.set_detail(fmt::format("batch of {} bytes; {} takes at most {}", payload.size(), peer, max_frame));
    return on_rejected(std::move(r));
  }
  v1::WireMessage m;
  auto& data = *m.mutable_data();
  data.set_record_class(d.record_class());
  data.set_first_seq(d.first_seq());
  data.set_record_count(d.record_count());
  data.set_crc32c(d.crc32c());
  data.set_historical(d.historical());
  data.set_gap_reason(d.gap_reason());
  data.set_check_only(d.check_only());
  line->send(m, payload);
  retry->sent();
  if (outstanding == 0)
    progress = clock::now();
  outstanding += d.record_count();
  figures->sent_batches.add();
  figures->sent_bytes.add(static_cast<double>(payload.size()));
  watch->sent(d.record_class(), d.first_seq(), payload.size(), d.historical(), clock::now());
  watched();
}

// So that a store whose dispatcher failed meanwhile says that it does not know this session.
void session_state::ask_store() {
  if (!established || !store_reachable || hello.asking())
    return;
  v1::LinkMessage m;
  m.mutable_delivered()->set_link(link().name);
  m.mutable_delivered()->set_session(id);
  m.mutable_delivered()->set_epoch(store.epoch());
  to_store(m);
}

// -- life -------------------------------------------------------------------------------------------------------------

void session_state::on_tick() {
  beat->beat();
  ask_store();
  look();
  report_if_due();
  rest_if_done();
  const auto now = clock::now();
  if (!established)
    return;
  life->carried(line->path(), now);
  if (outstanding > 0 && life->overdue(progress, acknowledgement_timeouts * link().heartbeat_timeout, now))
    return drop(fmt::format("{} records sent to {} and no acknowledgement", outstanding, peer));
  if (life->dead(now))
    return drop(fmt::format("no answer from {} for {} ms", peer, link().heartbeat_timeout.count()));
  ping_if_silent();
}

namespace {

caf::behavior session(caf::stateful_actor<session_state>* self, std::shared_ptr<context> ctx) {
  actor::guard(self, "SESSION");
  auto& st = self->state;
  st.self = self;
  st.ctx = std::move(ctx);
  st.beat = st.ctx->rt.pulse().add("session", std::chrono::seconds(5));
  st.open();
  self->delayed_send(self, tick_period, caf::tick_atom::value);
  return {
    [self](const from_store& m) { self->state.on_store(m); },
    [self](const from_peer& p) { self->state.on_peer(p); },
    [self](const opened& o) { self->state.on_opened(o); },
    [self](const ended& e) { self->state.on_ended(e); },
    [self](const connect_due& c) {
      auto& s = self->state;
      if (c.attempt == s.attempt && !s.line && s.store.known())
        s.connect();
    },
    [self](const watch_due& d) { self->state.on_watch_due(d); },
    [self](const kernel_said& k) { self->state.on_kernel(k); },
    [self](const knocked&) { self->state.on_knocked(); },
    [self](const store_there& t) { self->state.on_store_there(t.yes); },
    [self](const hello_due&) {
      auto& s = self->state;
      if (s.hello.due(clock::now()))
        s.say_hello();
    },
    [self](caf::tick_atom) {
      self->state.on_tick();
      self->delayed_send(self, tick_period, caf::tick_atom::value);
    },
  };
}

} // namespace

caf::actor spawn_session(caf::actor_system& system, std::shared_ptr<context> ctx) {
  return system.spawn(session, std::move(ctx));
}

} // namespace holdfast::uplink
