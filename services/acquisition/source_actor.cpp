// SOURCE: one configured source. Its intake brings bytes or samples; this actor frames, batches and keeps the batches until
// the store has them. What can wait (TCP) waits while the window is full; what cannot is dropped, counted, and becomes a
// gap record.

#include "services/acquisition/acquisition.hpp"
#include "services/acquisition/framing.hpp"
#include "services/acquisition/intake.hpp"
#include "services/acquisition/producer.hpp"
#include "services/acquisition/recorder.hpp"
#include "services/acquisition/source_figures.hpp"

#include "common/actor/guard.hpp"
#include "common/core/crc32c.hpp"
#include "common/core/time.hpp"
#include "holdfast/v1/ingest.pb.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace holdfast::acquisition {

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr auto tick_period = 250ms;
constexpr auto greet_period = 25ms;      // while the store is there and has not answered
constexpr auto drain_deadline = 3000ms;  // on stop: for what was read to reach the disk

struct linger_due { std::uint64_t batch; };
struct greet_due {};

} // namespace
} // namespace holdfast::acquisition

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::linger_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::greet_due)

namespace holdfast::acquisition {

namespace {

struct device {
  std::shared_ptr<conversation> line;
  framer cut;
  bool held = false;        // waits for room in the window
  bool greeted = false;     // confirm: has been told where we stand, and may send
};

const config::framing* framing_of(const config::source& s) {
  if (auto* t = std::get_if<config::tcp_server_source>(&s.kind))
    return &t->framing;
  if (auto* t = std::get_if<config::tcp_client_source>(&s.kind))
    return &t->framing;
  if (auto* t = std::get_if<config::serial_source>(&s.kind))
    return &t->framing;
  return nullptr;
}

bool confirms_of(const config::source& s) {
  if (auto* t = std::get_if<config::tcp_server_source>(&s.kind))
    return t->confirm == config::confirm_kind::count;
  if (auto* t = std::get_if<config::tcp_client_source>(&s.kind))
    return t->confirm == config::confirm_kind::count;
  return false;
}

struct source_state {
  static inline const char* name = "SOURCE";

  caf::stateful_actor<source_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  config::source settings;
  std::string producer_id;
  std::uint64_t session = random_id();
  bool confirms = false;
  bool can_wait = false;                  // a TCP device is held back by not reading
  std::shared_ptr<pulse::loop> beat;
  std::unique_ptr<source_figures> count;
  std::unique_ptr<recorder> records;
  std::unique_ptr<producer> store;
  std::unique_ptr<acquisition::intake> intake;
  std::map<conversation*, device> devices;
  std::uint64_t batch_number = 0;         // of the open batch: an old linger timer means nothing
  bool lingering = false;
  std::uint64_t confirmed = 0;            // last count written to the device
  bool stopping = false;
  clock::time_point stop_by{};

  void open();
  void on_connected(const connected& c);
  void on_received(const received& r);
  void on_idle(const went_idle& w);
  void on_disconnected(const disconnected& d);
  void on_datagram(const datagram& d);
  void on_sampled(const sampled& s);
  void on_store(const v1::StoreMessage& m);
  void on_tick();
  void stop();

  framer::sink sink(const timestamp& at, const std::string& peer);
  void take_frame(const timestamp& at, std::string_view bytes);
  void take_oversize(const timestamp& at, std::size_t bytes, const std::string& peer);
  bool room() const;
  void tell_gaps();
  void after_records();
  void close_batch();
  void carry_out(producer::actions&& a);
  void hello();
  void resume_devices();
  void confirm();
  void quit_if_drained();
};

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
  carry_out(store->reachable(ctx->store_reachable, clock::now()));
  intake = make_intake({ctx, slot, settings});
  intake->start();
}

// -- devices ------------------------------------------------------------------------------------------------------------

void source_state::on_connected(const connected& c) {
  if (stopping)
    return c.with->close("source stops");
  // The device has its count from the new connection on: what the old one still brings is not in it and would come twice.
  if (confirms)
    devices.clear();
  devices.emplace(c.with.get(), device{c.with, framer(*framing_of(settings))});
  count->connections->set(static_cast<double>(devices.size()));
  log::info("device connected source={} peer={}", settings.name, c.with->peer());
  if (!confirms)
    return c.with->resume();
  // Where we stand is only known when all of the device's earlier connection is on disk.
  close_batch();
  confirm();
}

void source_state::on_received(const received& r) {
  auto d = devices.find(r.from.get());
  if (d == devices.end())
    return;
  if (!d->second.cut.feed(r.bytes.view(), sink(r.at, r.from->peer())))
    r.from->close("a length above the limit");
  after_records();
  if (!can_wait || store->room())
    return r.from->resume();
  d->second.held = true;
}

void source_state::on_idle(const went_idle& w) {
  if (auto d = devices.find(w.from.get()); d != devices.end()) {
    d->second.cut.idle(sink(w.at, w.from->peer()));
    after_records();
  }
}

void source_state::on_disconnected(const disconnected& d) {
  auto it = devices.find(d.from.get());
  if (it == devices.end())
    return;
  const auto at = now();
  if (framing_of(settings)->kind == config::framing_kind::idle_gap)
    it->second.cut.idle(sink(at, d.from->peer()));
  else if (it->second.cut.pending() > 0)
    count->incomplete->add();
  devices.erase(it);
  count->connections->set(static_cast<double>(devices.size()));
  log::info("device left source={} peer={} cause=\"{}\"", settings.name, d.from->peer(), d.why);
  after_records();
}

void source_state::on_datagram(const datagram& d) {
  const auto limit = std::get<config::udp_server_source>(settings.kind).max_datagram.count;
  if (d.bytes.size() > limit)
    take_oversize(d.at, d.bytes.size(), d.peer);
  else
    take_frame(d.at, d.bytes.view());
  after_records();
}

void source_state::on_sampled(const sampled& s) {
  for (auto& one : s.samples) {
    if (records->needs_new_batch(one.time))
      close_batch();
    records->value(one, room());
  }
  after_records();
}

// -- records ------------------------------------------------------------------------------------------------------------

framer::sink source_state::sink(const timestamp& at, const std::string& peer) {
  return {.frame = [this, at](std::string_view bytes) { take_frame(at, bytes); },
          .oversize = [this, at, peer](std::size_t bytes) { take_oversize(at, bytes, peer); }};
}

// What can be held back always finds room: it is not read while there is none.
bool source_state::room() const { return can_wait || store->room(); }

void source_state::take_frame(const timestamp& at, std::string_view bytes) {
  if (records->needs_new_batch(at))
    close_batch();
  records->frame(at, bytes, room());
  if (records->full())
    close_batch();
}

void source_state::take_oversize(const timestamp& at, std::size_t bytes, const std::string& peer) {
  log::warn("frame dropped source={} peer={} cause=\"{} bytes are above the limit\"", settings.name, peer, bytes);
  if (records->needs_new_batch(at))
    close_batch();
  records->oversize(at);
}

// What was dropped is told as soon as there is room, also where no further record comes.
void source_state::tell_gaps() {
  if (!records->owes_gaps() || !store->room())
    return;
  const auto at = now();
  if (records->needs_new_batch(at))
    close_batch();
  records->tell_gaps(at);
  after_records();
}

// A batch leaves at once while nothing is on its way: then the store's own commit is what batches wait for, and they grow
// with the load.
void source_state::after_records() {
  if (records->empty())
    return;
  if (store->settled() || records->full())
    return close_batch();
  if (!lingering) {
    lingering = true;
    self->delayed_send(self, settings.batch.linger, linger_due{batch_number});
  }
}

void source_state::close_batch() {
  if (records->empty())
    return;
  ++batch_number;
  lingering = false;
  auto b = records->take();
  const auto crc = crc32c(b.payload);
  carry_out(store->push(b.records, crc, blob(std::move(b.payload)), clock::now()));
}

// -- store --------------------------------------------------------------------------------------------------------------

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
  self->delayed_send(self, greet_period, greet_due{});
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

// -- life ---------------------------------------------------------------------------------------------------------------

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
  tell_gaps();
  close_batch();
  quit_if_drained();
}

void source_state::quit_if_drained() {
  if (!stopping)
    return;
  close_batch();
  if (store->settled())
    return self->quit();
  if (clock::now() < stop_by)
    return;
  log::warn("source stops with unacknowledged records source={} records={}", settings.name, store->kept_records());
  self->quit();
}

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
  auto slot = ctx->sources.at(producer_name(settings));
  auto a = system.spawn(source, std::move(ctx), std::move(settings));
  slot->set(a);
  return a;
}

} // namespace holdfast::acquisition
