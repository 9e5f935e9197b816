// SESSION: two conversations that need each other. With the store: hello, welcome (gateway and epoch), ready, batches in,
// delivered ranges out. With the destination: hello with that epoch, welcome with what it already has, data, acks.

#include "services/uplink/connection.hpp"
#include "services/uplink/heartbeat.hpp"
#include "services/uplink/reconnect.hpp"
#include "services/uplink/uplink.hpp"

#include "common/actor/guard.hpp"
#include "common/core/time.hpp"
#include "common/net/stream.hpp"
#include "common/net/wire.hpp"
#include "holdfast/v1/dispatch.pb.h"
#include "holdfast/v1/wire.pb.h"

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <random>

namespace holdfast::uplink {

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr auto tick_period = 250ms;
constexpr int acknowledgement_timeouts = 3;  // times the heartbeat's: a busy disk there may take seconds
constexpr auto hello_retry = 25ms;    // to a store that is there, until it answers: its actors start after its sockets

struct session_state {
  static inline const char* name = "SESSION";

  caf::stateful_actor<session_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<pulse::loop> beat;
  std::shared_ptr<boost::asio::ssl::context> tls;
  std::unique_ptr<uplink::reconnect> retry;
  std::unique_ptr<heartbeat> life;
  std::mt19937_64 chance{std::random_device{}()};

  std::uint64_t id = random_id();      // of this SESSION's life, known to the store
  std::string gateway;                 // empty: the store has not welcomed us
  std::uint64_t epoch = 0;
  clock::time_point last_hello{};
  bool store_reachable = false;        // the bus is connected to it
  bool welcomed = false;               // it has answered since then

  std::uint64_t attempt = 0;
  std::shared_ptr<connection> line;    // null: none, and none under way
  std::string peer;
  clock::time_point opened_at{};
  bool established = false;            // the destination has welcomed us
  std::uint64_t max_frame = 0;
  std::uint64_t outstanding = 0;       // records sent in this session and not acknowledged
  clock::time_point progress{};        // when an acknowledgement came, or the first record went after none were out

  metrics::value* up = nullptr;
  metrics::value* sessions = nullptr;
  metrics::value* failures = nullptr;
  metrics::value* sent_batches = nullptr;
  metrics::value* sent_bytes = nullptr;
  metrics::value* acked_records = nullptr;
  metrics::value* round_trip = nullptr;

  ~session_state() {
    if (line)
      line->close("uplink stops");
  }

  const config::link& link() const { return ctx->link; }
  void state(const std::string& what, const std::string& detail, bool healthy = true) {
    ctx->rt.set_state("link:" + link().name, what, detail, healthy);
  }

  void open();
  void to_store(const v1::LinkMessage& m) { ctx->rt.bus().send(ctx->store, {{}, {blob(m.SerializeAsString())}}); }
  void on_store_there(bool yes);
  void say_hello();
  void on_store(const from_store& m);
  void on_welcome(const v1::LinkWelcome& w);
  void on_dispatch(const v1::Dispatch& d, const blob& payload);
  void on_refusal(const v1::LinkRefusal& r);
  void ready(const v1::WireWelcome* w);
  void connect();
  void on_opened(const opened& o);
  void on_peer(const from_peer& p);
  void on_peer_welcome(const v1::WireWelcome& w);
  void on_ack(const v1::WireAck& a);
  void on_ended(const ended& e);
  void drop(const std::string& why);
  void on_tick();
};

void session_state::open() {
  const metrics::labels tags{{"link", link().name}};
  auto& m = ctx->rt.metrics();
  up = &m.gauge("holdfast_link_up", "1: the session with the destination stands", tags);
  sessions = &m.counter("holdfast_link_sessions_total", "Sessions established", tags);
  failures = &m.counter("holdfast_link_failures_total", "Attempts that failed and sessions that broke", tags);
  sent_batches = &m.counter("holdfast_link_sent_batches_total", "Batches written, repeats included", tags);
  sent_bytes = &m.counter("holdfast_link_sent_bytes_total", "Payload bytes written", tags);
  acked_records = &m.counter("holdfast_link_acknowledged_records_total", "Records the destination confirmed", tags);
  round_trip = &m.gauge("holdfast_link_round_trip_seconds", "Smoothed round trip of the heartbeat", tags);
  retry = std::make_unique<uplink::reconnect>(link().reconnect);
  life = std::make_unique<heartbeat>(link().heartbeat_interval, link().heartbeat_timeout);
  state("waiting", "for the store", false);
  on_store_there(ctx->store_reachable);
}

// -- store --------------------------------------------------------------------------------------------------------------

void session_state::on_store_there(bool yes) {
  store_reachable = yes;
  welcomed = false;
  if (yes)
    say_hello();
}

void session_state::say_hello() {
  if (!store_reachable)
    return;
  last_hello = clock::now();
  welcomed = false;
  self->delayed_send(self, hello_retry, hello_due{});
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
  else if (r.has_refusal() && r.refusal().session() == id)
    on_refusal(r.refusal());
}

void session_state::on_welcome(const v1::LinkWelcome& w) {
  const bool same = gateway == w.gateway() && epoch == w.epoch();
  welcomed = true;
  gateway = w.gateway();
  epoch = w.epoch();
  if (established && same)
    return ready(nullptr);  // the store came back; our session outlived it
  if (line && !same)
    return drop("the store has another epoch");
  if (!line)
    connect();
}

void session_state::on_refusal(const v1::LinkRefusal& r) {
  if (r.reason() == v1::LinkRefusal::REASON_UNKNOWN_DESTINATION)
    return state("refused", fmt::format("the store knows no destination {}", link().destination), false);
  if (welcomed)  // one hello is enough for a burst of refusals
    say_hello();
}

void session_state::ready(const v1::WireWelcome* w) {
  v1::LinkMessage m;
  auto& r = *m.mutable_ready();
  r.set_link(link().name);
  r.set_session(id);
  r.set_epoch(epoch);
  r.set_window_bytes(link().window.count);
  if (w != nullptr)
    *r.mutable_present() = w->present();
  to_store(m);
}

void session_state::on_dispatch(const v1::Dispatch& d, const blob& payload) {
  if (!established)
    return;  // its lease went back with LinkDown
  if (payload.size() > max_frame)
    return drop(fmt::format("batch of {} bytes; {} takes at most {}", payload.size(), peer, max_frame));
  v1::WireMessage m;
  auto& data = *m.mutable_data();
  data.set_record_class(d.record_class());
  data.set_first_seq(d.first_seq());
  data.set_record_count(d.record_count());
  data.set_crc32c(d.crc32c());
  data.set_historical(d.historical());
  data.set_gap_reason(d.gap_reason());
  line->send(m, payload);
  if (outstanding == 0)
    progress = clock::now();
  outstanding += d.record_count();
  sent_batches->add();
  sent_bytes->add(static_cast<double>(payload.size()));
}

// -- destination --------------------------------------------------------------------------------------------------------

void session_state::connect() {
  const auto n = ++attempt;
  peer.clear();
  state(retry->unavailable() ? "unavailable" : "connecting", link().connect.text(), false);
  if (link().tls.enabled && !tls) {
    try {
      tls = net::make_tls_context(link().tls, true);
    } catch (const std::exception& e) {  // a missing file may be put there yet
      retry->lost(clock::now());
      state("waiting", e.what(), false);
      self->delayed_send(self, retry->wait(std::uniform_real_distribution<>(0, 1)(chance)), connect_due{attempt});
      return;
    }
  }
  auto* slot = &ctx->session;
  line = connection::make(ctx->rt.io().context(), link(), tls, {
    .on_open = [slot, n](const std::string& who) { slot->send(opened{n, who}); },
    .on_message = [slot, n](const v1::WireMessage& m) { slot->send(from_peer{n, std::make_shared<v1::WireMessage>(m)}); },
    .on_end = [slot, n](const std::string& why) { slot->send(ended{n, why}); },
  });
  line->start();
}

void session_state::on_opened(const opened& o) {
  if (o.attempt != attempt || !line)
    return;
  peer = o.peer;
  opened_at = clock::now();
  life->opened(clock::now());
  v1::WireMessage m;
  auto& h = *m.mutable_hello();
  h.set_protocol(net::wire_protocol);
  h.set_gateway(gateway);
  h.set_epoch(epoch);
  h.set_link(link().name);
  h.set_software("holdfast " HOLDFAST_VERSION);
  line->send(m);
}

void session_state::on_peer(const from_peer& p) {
  if (p.attempt != attempt || !line)
    return;
  life->heard(clock::now());
  auto& m = *p.message;
  if (m.has_welcome())
    return on_peer_welcome(m.welcome());
  if (m.has_ack())
    return on_ack(m.ack());
  if (m.has_pong()) {
    life->pong(m.pong().id(), clock::now());
    return round_trip->set(life->round_trip().count());
  }
  if (m.has_refusal())
    return drop(fmt::format("refused by {}: {}", peer, m.refusal().reason()));
}

void session_state::on_peer_welcome(const v1::WireWelcome& w) {
  established = true;
  outstanding = 0;
  max_frame = w.max_frame_bytes();
  retry->established(clock::now());
  sessions->add();
  up->set(1);
  state("connected", fmt::format("{} ({})", peer, w.collector()));
  ready(&w);
}

void session_state::on_ack(const v1::WireAck& a) {
  v1::LinkMessage m;
  auto& d = *m.mutable_delivered();
  d.set_link(link().name);
  d.set_session(id);
  d.set_epoch(epoch);
  *d.mutable_delivered() = a.stored();
  std::uint64_t records = 0;
  for (auto& c : a.stored())
    for (auto& r : c.ranges())
      records += r.last() - r.first() + 1;
  acked_records->add(static_cast<double>(records));
  outstanding -= std::min(outstanding, records);
  progress = clock::now();
  to_store(m);
}

void session_state::drop(const std::string& why) {
  if (line)
    line->close(why);  // on_ended follows
}

void session_state::on_ended(const ended& e) {
  if (e.attempt != attempt || !line)
    return;
  line = nullptr;
  failures->add();
  up->set(0);
  retry->lost(clock::now());
  if (established) {
    v1::LinkMessage m;
    m.mutable_down()->set_link(link().name);
    m.mutable_down()->set_session(id);
    m.mutable_down()->set_reason(e.why);
    to_store(m);
  }
  established = false;
  const auto wait = retry->wait(std::uniform_real_distribution<>(0, 1)(chance));
  state(retry->unavailable() ? "unavailable" : "waiting", fmt::format("{}; next attempt in {} ms", e.why, wait.count()),
        false);
  self->delayed_send(self, wait, connect_due{attempt});
}

void session_state::on_tick() {
  beat->beat();
  const auto now = clock::now();
  if (!established) {
    if (line && !peer.empty() && now - opened_at > link().connect_timeout)
      drop(fmt::format("no welcome from {} in {} ms", peer, link().connect_timeout.count()));
    return;
  }
  if (outstanding > 0 && now - progress > acknowledgement_timeouts * link().heartbeat_timeout)
    return drop(fmt::format("{} records sent to {} and no acknowledgement", outstanding, peer));
  if (life->dead(now))
    return drop(fmt::format("no answer from {} for {} ms", peer, link().heartbeat_timeout.count()));
  if (auto ping = life->ping_due(now)) {
    v1::WireMessage m;
    m.mutable_ping()->set_id(*ping);
    m.mutable_ping()->set_sent_monotonic_nanos(static_cast<std::uint64_t>(boottime_nanos()));
    line->send(m);
  }
}

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
      if (c.attempt == s.attempt && !s.line && !s.gateway.empty())
        s.connect();
    },
    [self](const store_there& t) { self->state.on_store_there(t.yes); },
    [self](const hello_due&) {
      auto& s = self->state;
      if (!s.welcomed && clock::now() - s.last_hello >= hello_retry)
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
  auto a = system.spawn(session, ctx);
  ctx->session.set(a);
  return a;
}

} // namespace holdfast::uplink
