// WRITER: the only one that changes the file. While one commit is on its way to the disk, the next offers gather in its
// mailbox; the commit after that takes them all (group commit). Here: its life and what comes in.

#include "services/store/batch_check.hpp"
#include "services/store/writer_state.hpp"

#include "common/actor/guard.hpp"
#include "common/core/crc32c.hpp"
#include "common/telemetry/log.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::store {

using namespace std::chrono_literals;

namespace {
// Confirmations wait for the next batches' commit, but no longer than this.
constexpr auto confirm_delay = 50ms;
constexpr auto beat_period = 500ms;
// A life that took this long was not ended by the file.
constexpr auto settle_time = 10s;
} // namespace

void writer_state::open() {
  auto& rt = ctx->rt;
  for (auto& d : rt.config().destinations)
    for (auto& c : rt.config().classes)
      if (d.classes.empty() || std::find(d.classes.begin(), d.classes.end(), c.name) != d.classes.end())
        delivery.want(d.name, c.name);
  ctx->file->load(producers, delivery);
  // What was confirmed just before the last end may still be there.
  for (auto& c : rt.config().classes)
    for (auto& r : delivery.settled(c.name))
      removable[c.name].push_back(r);
  auto& m = rt.metrics();
  stored_records = &m.counter("holdfast_store_records_total", "Records stored");
  stored_bytes = &m.counter("holdfast_store_bytes_total", "Payload bytes stored");
  commits = &m.counter("holdfast_store_commits_total", "Commits");
  commit_seconds = &m.counter("holdfast_store_commit_seconds_total", "Time spent in commits");
  failed_commits = &m.counter("holdfast_store_failed_commits_total", "Commits that failed; producers send again");
  refused = &m.counter("holdfast_store_refused_total", "Offers refused");
  duplicates = &m.counter("holdfast_store_duplicates_total", "Offers that were stored already");
  epochs = &m.counter("holdfast_store_epochs_total", "New epochs because a destination had numbers this store never gave it");
  opened = std::chrono::steady_clock::now();
  warn_of_unwanted();
  open_room();
  schedule_commit(0ms);
}

// Nobody takes them away: what nobody asks for stays until somebody does (design contract 9).
void writer_state::warn_of_unwanted() const {
  for (auto& [name, batches] : ctx->file->retired())
    log::warn("class is no longer configured and its records stay class={} batches={}", name, batches);
  for (auto& [name, head] : ctx->file->heads())
    if (!ctx->rt.config().destinations.empty()
        && std::none_of(ctx->rt.config().destinations.begin(), ctx->rt.config().destinations.end(),
                        [&](auto& d) { return delivery.wanted(d.name, name); }))
      log::warn("no destination wants this class: its records stay class={} last_seq={}", name, head);
}

void writer_state::on_hello(const hello& h) {
  if (!ctx->file->has_class(h.record_class)) {
    offer o{.peer = h.peer, .producer = h.producer, .session = h.session};
    return refuse(o, v1::ProducerRefusal::REASON_UNKNOWN_CLASS,
                  fmt::format("class {} is not configured", h.record_class));
  }
  commit();  // hello answers from the disk: nothing of this producer may be between
  if (!producers.room_for(h.producer)) {
    offer o{.peer = h.peer, .producer = h.producer, .session = h.session};
    return refuse(o, v1::ProducerRefusal::REASON_TOO_MANY_PRODUCERS,
                  fmt::format("there are {} producers", producers.rows().size()));
  }
  const auto& row = producers.hello(h.producer, h.session, h.record_class, h.peer);
  v1::StoreMessage m;
  auto& w = *m.mutable_welcome();
  w.set_producer(h.producer);
  w.set_session(h.session);
  w.set_last_seq(row.committed);
  w.set_position(row.position);
  w.set_window_bytes(window(h.record_class));
  w.set_max_batch_bytes(settings().max_batch.count);
  send(h.peer, m);
  if (greeted.due() > 0)
    log::info("producer={} session={:016x} last_seq={}", h.producer, h.session, row.committed);
}

void writer_state::refuse(const offer& o, v1::ProducerRefusal::Reason why, const std::string& detail) {
  refused->add();
  log::debug("offer refused producer={} seq={} cause=\"{}\"", o.producer, o.seq, detail);
  v1::StoreMessage m;
  auto& r = *m.mutable_refusal();
  r.set_producer(o.producer);
  r.set_session(o.session);
  r.set_producer_seq(o.seq);
  r.set_reason(why);
  r.set_detail(detail);
  if (auto* row = producers.find(o.producer))
    r.set_last_seq(row->committed);
  send(o.peer, m);
}

void writer_state::on_offer(const offer& o) {
  const auto* row = producers.find(o.producer);
  if (row != nullptr && window(row->record_class) == 0)
    return;  // it sends again when its window grows
  if (o.payload.size() > settings().max_batch.count)
    return refuse(o, v1::ProducerRefusal::REASON_OVERSIZE,
                  fmt::format("{} records in {} bytes; limit {}", o.count, o.payload.size(), settings().max_batch.count));
  if (crc32c(o.payload.view()) != o.crc)
    return refuse(o, v1::ProducerRefusal::REASON_DAMAGED, "payload does not match its checksum");
  if (const auto records = count_records(o.payload.view()); o.count == 0 || records != o.count)
    return refuse(o, v1::ProducerRefusal::REASON_MALFORMED,
                  fmt::format("announced as {} records, has {}", o.count, records.value_or(0)));
  switch (producers.offer(o.producer, o.session, o.seq)) {
    case producer_table::verdict::unknown_session:
      return refuse(o, v1::ProducerRefusal::REASON_UNKNOWN_SESSION, "say hello first");
    case producer_table::verdict::out_of_order:
      return refuse(o, v1::ProducerRefusal::REASON_OUT_OF_ORDER, "not the next number");
    case producer_table::verdict::duplicate:
      duplicates->add();
      return acknowledge(o.producer);
    case producer_table::verdict::accept:
      break;
  }
  pending.push_back(o);
  pending.back().seat.reset();  // it waits for the disk now, which has a limit of its own
  pending_bytes += o.payload.size();
  if (pending_bytes >= space.offer_bytes())
    return commit();
  schedule_commit(gathering.at(row->record_class));
}

// A destination cannot have what was never stored: numbers beyond the head would count as delivered when they are given out.
void writer_state::on_confirmed(const confirmed& c) {
  const auto head = ctx->file->head(c.record_class);
  for (auto r : c.ranges) {
    if (r.last > head)
      log::warn("confirmation cut destination={} class={} last_seq={} head={}", c.destination, c.record_class, r.last, head);
    r.last = std::min(r.last, head);
    if (r.first > r.last)
      continue;
    for (auto& free : delivery.mark(c.destination, c.record_class, r))
      removable[c.record_class].push_back(free);
  }
  changed[{c.destination, c.record_class}] = true;
  schedule_commit(confirm_delay);
}

void writer_state::on_subscribe(const caf::actor& who) {
  listener = who;
  undelivered u;
  for (auto& d : ctx->rt.config().destinations)
    for (auto& [name, head] : ctx->file->heads())
      u.entries.push_back({d.name, name, delivery.missing(d.name, name, head)});
  u.heads = ctx->file->heads();
  self->send(listener, std::move(u));
}

// From here on the numbers are this store's own again: under the new epoch nobody has any.
void writer_state::on_renew(const renew& r) {
  commit();
  try {
    batch_file::update u(*ctx->file);
    u.renew_epoch();
    u.commit();
  } catch (const storage::error& e) {
    log::error("failed to begin a new epoch: {}", e.what());
    self->delayed_send(self, beat_period, r);
    return;
  }
  epochs->add();
  log::warn("new epoch={:016x} cause=\"{}\"", ctx->file->epoch(), r.why);
  ctx->rt.set_state("store", "open", fmt::format("epoch {:016x}", ctx->file->epoch()));
  self->send(listener, renewed{});
}

void writer_state::on_keep(const keep& k) {
  for (auto& [link, row] : k.links)
    notes.links[link] = row;
  for (auto& [destination, row] : k.journals)
    notes.journals[destination] = row;
  notes.then.insert(notes.then.end(), k.then.begin(), k.then.end());
  schedule_commit(k.then.empty() ? confirm_delay : 0ms);  // somebody waits for it
}

void writer_state::on_housekeeping() {
  beat->beat();
  ctx->file->env().clear_dead_readers();  // a reader that was killed would keep every freed page from being used again
  if (opened.time_since_epoch().count() != 0 && std::chrono::steady_clock::now() - opened > settle_time) {
    ctx->file->settled();
    opened = {};
  }
  ctx->file->reserve().take();
  watch_room();
  commit();
  if (full())
    step(what::confirmations);  // LMDB uses freed pages again from the second commit after on; and is there room now?
}

namespace {

caf::behavior writer(caf::stateful_actor<writer_state>* self, std::shared_ptr<context> ctx) {
  actor::guard(self, "WRITER");
  auto& st = self->state;
  st.self = self;
  st.ctx = std::move(ctx);
  st.beat = st.ctx->rt.pulse().add("writer", std::chrono::seconds(30));  // one commit on a slow card takes seconds
  st.open();
  self->delayed_send(self, beat_period, caf::tick_atom::value);
  return {
    [self](const offer& o) { self->state.on_offer(o); },
    [self](const hello& h) { self->state.on_hello(h); },
    [self](const confirmed& c) { self->state.on_confirmed(c); },
    [self](const commit_due&) {
      self->state.commit_scheduled = false;
      self->state.commit();
    },
    [self](const gathered&) { self->state.on_gathered(); },
    [self](const renew& r) { self->state.on_renew(r); },
    [self](const keep& k) { self->state.on_keep(k); },
    [self](const subscribe&) { self->state.on_subscribe(caf::actor_cast<caf::actor>(self->current_sender())); },
    [self](const housekeeping_due&) { self->state.on_housekeeping(); },
    [self](caf::tick_atom) {
      self->state.on_housekeeping();
      self->delayed_send(self, beat_period, caf::tick_atom::value);
    },
  };
}

} // namespace

caf::actor spawn_writer(caf::actor_system& system, std::shared_ptr<context> ctx) {
  auto a = system.spawn(writer, ctx);
  ctx->writer.set(a);  // here, not in the actor: what arrives before its first turn waits in its mailbox
  return a;
}

} // namespace holdfast::store
