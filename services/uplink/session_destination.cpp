// SESSION, the destination's side: connect, hello with the store's epoch, data, acknowledgements, the end.

#include "services/uplink/session_state.hpp"

#include "common/net/io_loop.hpp"
#include "common/net/stream.hpp"
#include "common/net/wire.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <fmt/format.h>

namespace holdfast::uplink {

using clock = heartbeat::clock;

// -- destination ------------------------------------------------------------------------------------------------------

void session_state::connect() {
  if (!order.wanted())
    return rest_if_done();
  const auto n = ++attempt;  // a wait that is under way is over
  peer.clear();
  if (!watch->allow(clock::now()))
    return wait_for_breaker();
  watch->connecting(clock::now());
  const auto failed = retry->unavailable() ? fmt::format(", {} attempts failed", retry->attempts()) : "";
  state("connecting", link().connect.text() + failed, false);
  if (link().tls.enabled && !tls) {
    try {
      tls = net::make_tls_context(link().tls, true);
    } catch (const std::exception& e) {  // a missing file may be put there yet
      retry->lost(clock::now());
      watch->closed(e.what(), false, clock::now());
      watched();
      state("waiting", e.what(), false);
      self->delayed_send(self, retry->wait(std::uniform_real_distribution<>(0, 1)(chance)), connect_due{attempt});
      return;
    }
  }
  auto* slot = &ctx->session;
  v1::WireMessage greeting;
  auto& h = *greeting.mutable_hello();
  h.set_protocol(net::wire_protocol);
  h.set_gateway(store.gateway());
  h.set_epoch(store.epoch());
  h.set_link(link().name);
  h.set_software("holdfast " HOLDFAST_VERSION);
  line = connection::make(ctx->rt.io().context(), link(), tls, ctx->addresses, greeting, {
    .on_way = [k = kernel](const std::string& to, const std::string& from) { k->toward(to, from); },
    .on_reached = [d = door] { d->stop(); },
    .on_open = [slot, n](const std::string& who) { slot->send(opened{n, who}); },
    .on_message = [slot, n](const v1::WireMessage& m) {
      slot->send(from_peer{n, std::make_shared<v1::WireMessage>(m)});
    },
    .on_end = [slot, n](const std::string& why, bool answered) { slot->send(ended{n, why, answered}); },
  });
  line->start();
  watched();
}

void session_state::wait_for_breaker() {
  const auto now = clock::now();
  const auto wait = std::max<clock::duration>(watch->next_attempt().value_or(now) - now, std::chrono::milliseconds(1));
  state("circuit open", fmt::format("{}; too many attempts failed, next in {} ms", watch->cause(),
                                    std::chrono::duration_cast<std::chrono::milliseconds>(wait).count()), false);
  self->delayed_send(self, wait, connect_due{attempt});
  watched();
}

void session_state::on_opened(const opened& o) {
  if (o.attempt != attempt || !line)
    return;
  peer = o.peer;
  life->opened(clock::now());
}

void session_state::on_peer(const from_peer& p) {
  if (p.attempt != attempt || !line)
    return;
  const auto now = clock::now();
  life->heard(now);
  watch->heard(now);
  auto& m = *p.message;
  if (m.has_welcome())
    return on_peer_welcome(m.welcome());
  if (m.has_ack())
    return on_ack(m.ack());
  if (m.has_rejected()) {
    auto& r = m.rejected();
    watch->answered(r.record_class(), r.first_seq(), r.first_seq(), now);
    acknowledged(r.record_count());
    return on_rejected(r);
  }
  if (m.has_pong()) {
    watch->pong(m.pong().id(), now);
    watched();
  }
}

void session_state::on_peer_welcome(const v1::WireWelcome& w) {
  established = true;
  outstanding = 0;
  max_frame = w.max_frame_bytes();
  retry->established(clock::now());
  watch->opened(clock::now());
  ++session_count;
  figures->sessions.add();
  figures->up.set(1);
  collector = w.collector();
  describe_session();
  watched();
  ready(w);
}

void session_state::on_ack(const v1::WireAck& a) {
  v1::LinkMessage m;
  auto& d = *m.mutable_delivered();
  d.set_link(link().name);
  d.set_session(id);
  d.set_epoch(store.epoch());
  *d.mutable_delivered() = a.stored();
  std::uint64_t records = 0;
  for (auto& c : a.stored()) {
    for (auto& r : c.ranges()) {
      if (r.first() > r.last())
        continue;
      records += r.last() - r.first() + 1;
      watch->answered(c.record_class(), r.first(), r.last(), clock::now());
    }
  }
  figures->acked_records.add(static_cast<double>(records));
  acknowledged(records);
  if (records > 0)
    retry->acknowledged();
  to_store(m);
}

void session_state::acknowledged(std::uint64_t records) {
  outstanding -= std::min(outstanding, records);
  progress = clock::now();
  watched();
}

void session_state::on_rejected(v1::Rejected r) {
  r.set_link(link().name);
  r.set_session(id);
  r.set_epoch(store.epoch());
  v1::LinkMessage m;
  *m.mutable_rejected() = std::move(r);
  to_store(m);
}

void session_state::drop(const std::string& why, bool its_fault) {
  if (line)
    line->close(why, its_fault);  // on_ended follows
}

// At once, and nothing it still says counts.
void session_state::forget_line(const std::string& why) {
  watch->path(line->path(), clock::now());
  watch->closed(why, false, clock::now());
  line->close(why);
  line = nullptr;
  established = false;
  figures->up.set(0);
}

void session_state::on_ended(const ended& e) {
  if (e.attempt != attempt || !line)
    return;
  watch->path(line->path(), clock::now());  // what it took to the end
  line = nullptr;
  figures->up.set(0);
  if (order.wanted()) {
    figures->failures.add();
    retry->lost(clock::now());
  }
  watch->closed(e.why, order.wanted() && e.answered && !retry->quick(), clock::now());
  if (!established)
    e.answered ? door->stop() : door->start();
  const bool stood = established;
  if (established) {
    v1::LinkMessage m;
    m.mutable_down()->set_link(link().name);
    m.mutable_down()->set_session(id);
    m.mutable_down()->set_reason(e.why);
    to_store(m);
  }
  established = false;
  watched();
  if (!order.wanted())
    return rest_if_done();
  const auto wait = retry->wait(std::uniform_real_distribution<>(0, 1)(chance));
  state(stood ? "disconnected" : retry->unavailable() ? "unavailable" : "waiting",
        fmt::format("{}; next attempt in {} ms", e.why, wait.count()), false);
  self->delayed_send(self, wait, connect_due{attempt});
}

} // namespace holdfast::uplink
