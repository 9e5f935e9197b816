// DISPATCHER: leases stored batches to links and takes their acknowledgements. It reads the file, never writes it.

#include "services/store/store.hpp"

#include "common/actor/guard.hpp"
#include "common/core/time.hpp"
#include "common/storage/stored_batch.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/dispatch.pb.h"
#include "services/store/dispatch_plan.hpp"
#include "services/store/live_cache.hpp"

#include <fmt/format.h>

namespace holdfast::store {

namespace {

using namespace std::chrono_literals;

// Batches read from disk in one turn; then other messages get theirs.
constexpr int reads_per_turn = 32;
// Read back from the map between two looks; above it the process lets go of the mapped pages (the kernel keeps them).
constexpr std::uint64_t map_release = 16 << 20;
constexpr auto beat_period = 500ms;

struct attached_link {
  std::string peer;
  std::string destination;
  std::uint64_t session = 0;
};

struct dispatcher_state {
  static inline const char* name = "DISPATCHER";

  caf::stateful_actor<dispatcher_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<pulse::loop> beat;
  std::map<std::string, dispatch_plan> plans;   // by destination
  std::map<std::string, attached_link> links;   // by link
  std::unique_ptr<live_cache> cache;
  bool informed = false;      // WRITER has told what is undelivered
  bool pump_scheduled = false;
  std::uint64_t resident = 0; // bytes read through the map since it was last released
  metrics::value* dispatched = nullptr;
  metrics::value* reread = nullptr;
  metrics::value* damaged = nullptr;

  void open();
  void on_undelivered(const undelivered& u);
  void on_stored(const stored& s);
  void on_link(const from_link& m);
  void on_hello(const std::string& peer, const v1::LinkHello& h);
  void on_ready(const std::string& peer, const v1::LinkReady& r);
  void on_delivered(const std::string& peer, const v1::Delivered& d);
  void on_down(const v1::LinkDown& d);
  void take_confirmed(const std::string& destination, const v1::ClassRanges& c);
  void pump();
  bool carry_out(dispatch_plan& plan, const dispatch_plan::order& o, int& reads);
  void send_batch(const attached_link& link, const batch& b, bool historical);
  void refuse(const std::string& peer, std::uint64_t session, v1::LinkRefusal::Reason why, const std::string& detail);
  void figures();
  void send(const std::string& peer, const v1::RouteMessage& m, std::vector<blob> more = {}) {
    std::vector<blob> parts{blob(m.SerializeAsString())};
    for (auto& part : more)
      parts.push_back(std::move(part));
    ctx->rt.bus().send(ctx->dispatch, {peer, std::move(parts)});
  }
  attached_link* find(const std::string& name, std::uint64_t session) {
    auto it = links.find(name);
    return it != links.end() && it->second.session == session ? &it->second : nullptr;
  }
};

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
  damaged = &m.counter("holdfast_store_damaged_total", "Batches whose checksum failed");
}

void dispatcher_state::on_undelivered(const undelivered& u) {
  informed = true;
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

void dispatcher_state::on_link(const from_link& m) {
  beat->beat();
  switch (m.message->message_case()) {
    case v1::LinkMessage::kHello: return on_hello(m.peer, m.message->hello());
    case v1::LinkMessage::kReady: return on_ready(m.peer, m.message->ready());
    case v1::LinkMessage::kDelivered: return on_delivered(m.peer, m.message->delivered());
    case v1::LinkMessage::kDown: return on_down(m.message->down());
    case v1::LinkMessage::MESSAGE_NOT_SET: return;
  }
}

void dispatcher_state::refuse(const std::string& peer, std::uint64_t session, v1::LinkRefusal::Reason why,
                              const std::string& detail) {
  v1::RouteMessage m;
  m.mutable_refusal()->set_session(session);
  m.mutable_refusal()->set_reason(why);
  m.mutable_refusal()->set_detail(detail);
  send(peer, m);
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
  auto* link = find(r.link(), r.session());
  if (link == nullptr)
    return refuse(peer, r.session(), v1::LinkRefusal::REASON_UNKNOWN_SESSION, r.link());
  if (r.epoch() != ctx->file->epoch())
    return refuse(peer, r.session(), v1::LinkRefusal::REASON_OTHER_EPOCH, r.link());
  for (auto& c : r.present())
    take_confirmed(link->destination, c);
  plans.at(link->destination).link_ready(r.link(), r.window_bytes());
  ctx->rt.set_state("link:" + r.link(), "active", fmt::format("window {} bytes", r.window_bytes()));
  pump();
}

void dispatcher_state::take_confirmed(const std::string& destination, const v1::ClassRanges& c) {
  confirmed out{destination, c.record_class(), {}};
  if (!ctx->file->has_class(c.record_class()))
    return;
  for (auto& r : c.ranges()) {
    if (r.first() == 0 || r.last() < r.first())
      continue;
    plans.at(destination).delivered(c.record_class(), {r.first(), r.last()}, dispatch_plan::clock::now());
    out.ranges.push_back({r.first(), r.last()});
  }
  if (!out.ranges.empty())
    ctx->writer.send(std::move(out));
}

void dispatcher_state::on_delivered(const std::string& peer, const v1::Delivered& d) {
  auto* link = find(d.link(), d.session());
  if (link == nullptr)
    return refuse(peer, d.session(), v1::LinkRefusal::REASON_UNKNOWN_SESSION, d.link());
  if (d.epoch() != ctx->file->epoch())
    return refuse(peer, d.session(), v1::LinkRefusal::REASON_OTHER_EPOCH, d.link());
  for (auto& c : d.delivered())
    take_confirmed(link->destination, c);
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

void dispatcher_state::pump() {
  int reads = 0;
  for (auto& [name, plan] : plans) {
    while (auto o = plan.next()) {
      if (!carry_out(plan, *o, reads))
        break;
    }
  }
  if (reads >= reads_per_turn && !pump_scheduled) {
    pump_scheduled = true;
    self->send(self, pump_due{});
  }
}

// False: this turn has read enough.
bool dispatcher_state::carry_out(dispatch_plan& plan, const dispatch_plan::order& o, int& reads) {
  const auto from = o.todo.first;
  auto found = cache->find(o.record_class, from);
  if (!found) {
    if (reads >= reads_per_turn)
      return false;
    ++reads;
    reread->add();
    found = ctx->file->read_at_or_after(o.record_class, from);
    resident += found ? found->payload.size() : 0;
  }
  if (!found) {
    plan.gone(o.record_class, {from, UINT64_MAX - 1});
    return true;
  }
  if (found->seqs.first != from) {
    plan.gone(o.record_class, {from, found->seqs.first - 1});
    return true;
  }
  if (found->gap_reason != 0) {
    // Where even the header is unreadable its extent is a guess: never more than what is still to be sent.
    found->seqs.last = std::min(found->seqs.last, o.todo.last);
    damaged->add();
    log::error("damaged batch class={} first_seq={} last_seq={}", o.record_class, found->seqs.first, found->seqs.last);
  }
  plan.leased(o, found->seqs, found->payload.size() + storage::stored_batch::header_bytes,
              dispatch_plan::clock::now());
  send_batch(links.at(o.link), *found, o.historical);
  return true;
}

void dispatcher_state::send_batch(const attached_link& link, const batch& b, bool historical) {
  v1::RouteMessage m;
  auto& d = *m.mutable_dispatch();
  d.set_session(link.session);
  d.set_record_class(b.record_class);
  d.set_first_seq(b.seqs.first);
  d.set_record_count(static_cast<std::uint32_t>(b.seqs.count()));
  d.set_crc32c(b.crc);
  d.set_historical(historical);
  d.set_gap_reason(b.gap_reason);
  send(link.peer, m, {b.payload});
  dispatched->add();
}

void dispatcher_state::figures() {
  beat->beat();
  if (std::exchange(resident, 0) > map_release)
    ctx->file->env().release_resident();
  auto& m = ctx->rt.metrics();
  for (auto& [name, plan] : plans) {
    const metrics::labels tags{{"destination", name}};
    const auto set = [&](const char* metric, const char* help, std::uint64_t n) {
      m.gauge(metric, help, tags).set(static_cast<double>(n));
    };
    set("holdfast_store_backlog_records", "Records waiting as backlog", plan.backlog_records());
    set("holdfast_store_live_records", "Live records waiting for a link", plan.live_records());
    set("holdfast_store_in_flight_bytes", "Bytes leased to links", plan.in_flight_bytes());
    std::int64_t oldest = 0;
    for (auto& c : ctx->rt.config().classes)
      if (auto seq = plan.oldest(c.name))
        if (auto stored_at = ctx->file->stored_at(c.name, *seq); stored_at && (oldest == 0 || *stored_at < oldest))
          oldest = *stored_at;
    m.gauge("holdfast_store_oldest_unsent_seconds", "Age of the oldest record not yet confirmed", tags)
      .set(oldest == 0 ? 0.0 : static_cast<double>(unix_nanos() - oldest) / 1e9);
  }
}

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
