// WRITER: the only one that changes the file. While one commit is on its way to the disk, the next offers gather in its
// mailbox; the commit after that takes them all (group commit).

#include "services/store/store.hpp"

#include "common/actor/guard.hpp"
#include "common/core/crc32c.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/ingest.pb.h"

#include <fmt/format.h>

#include <set>

namespace holdfast::store {

namespace {

using namespace std::chrono_literals;

// Offers of one commit: bounds its length, and so the wait of the first of them.
constexpr std::uint64_t max_commit_bytes = 8 << 20;
// Confirmations wait for the next batches' commit, but no longer than this.
constexpr auto confirm_delay = 50ms;
constexpr auto retry_delay = 500ms;
constexpr auto beat_period = 500ms;

struct writer_state {
  static inline const char* name = "WRITER";

  caf::stateful_actor<writer_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<pulse::loop> beat;
  producer_table producers;
  delivery_state delivery;

  std::vector<offer> pending;
  std::uint64_t pending_bytes = 0;
  std::map<std::pair<std::string, std::string>, bool> changed;  // destination, class: its delivery row
  std::map<std::string, std::vector<seq_range>> removable;      // class
  bool commit_scheduled = false;
  bool full = false;
  caf::actor listener;  // DISPATCHER

  metrics::value* stored_records = nullptr;
  metrics::value* stored_bytes = nullptr;
  metrics::value* commits = nullptr;
  metrics::value* commit_seconds = nullptr;
  metrics::value* failed_commits = nullptr;
  metrics::value* used = nullptr;
  metrics::value* refused = nullptr;
  metrics::value* duplicates = nullptr;

  const config::store& settings() const { return ctx->rt.config().store; }
  std::uint64_t window() const { return full ? 0 : settings().producer_window.count; }

  void open();
  void on_hello(const hello& h);
  void on_offer(const offer& o);
  void on_confirmed(const confirmed& c);
  void on_subscribe(const caf::actor& who);
  void on_housekeeping();
  void schedule_commit(std::chrono::milliseconds delay);
  void commit();
  bool try_commit(std::vector<batch>& done);
  void apply_confirmed(batch_file::update& u);
  void after_commit(std::vector<batch>&& done);
  void note_space(std::uint64_t bytes);
  void acknowledge(const std::string& producer);
  void refuse(const offer& o, v1::ProducerRefusal::Reason why, const std::string& detail);
  void send(const std::string& peer, const v1::StoreMessage& m) {
    ctx->rt.bus().send(ctx->ingest, {peer, {blob(m.SerializeAsString())}});
  }
};

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
  used = &m.gauge("holdfast_store_used_bytes", "Space taken by batches in the store's file");
  m.gauge("holdfast_store_quota_bytes", "Space batches may take").set(static_cast<double>(settings().quota.count));
  m.gauge("holdfast_store_durability_window_seconds", "Acknowledged data a power cut may cost").set(0);
  rt.set_state("store", "open", fmt::format("epoch {:016x}", ctx->file->epoch()));
  schedule_commit(0ms);
}

void writer_state::on_hello(const hello& h) {
  if (!ctx->file->has_class(h.record_class)) {
    offer o{.peer = h.peer, .producer = h.producer, .session = h.session};
    return refuse(o, v1::ProducerRefusal::REASON_UNKNOWN_CLASS,
                  fmt::format("class {} is not configured", h.record_class));
  }
  commit();  // hello answers from the disk: nothing of this producer may be between
  const auto& row = producers.hello(h.producer, h.session, h.record_class, h.peer);
  v1::StoreMessage m;
  auto& w = *m.mutable_welcome();
  w.set_producer(h.producer);
  w.set_session(h.session);
  w.set_last_seq(row.committed);
  w.set_position(row.position);
  w.set_window_bytes(window());
  w.set_max_batch_bytes(settings().max_batch.count);
  send(h.peer, m);
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
  ctx->queued_bytes -= o.payload.size();
  if (full)
    return;  // its window is 0; it sends again when it grows
  if (o.count == 0 || o.payload.size() > settings().max_batch.count)
    return refuse(o, v1::ProducerRefusal::REASON_OVERSIZE,
                  fmt::format("{} records in {} bytes; limit {}", o.count, o.payload.size(), settings().max_batch.count));
  if (crc32c(o.payload.view()) != o.crc)
    return refuse(o, v1::ProducerRefusal::REASON_DAMAGED, "payload does not match its checksum");
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
  pending_bytes += o.payload.size();
  if (pending_bytes >= max_commit_bytes)
    return commit();
  schedule_commit(0ms);
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
  self->send(listener, std::move(u));
}

void writer_state::schedule_commit(std::chrono::milliseconds delay) {
  if (delay > 0ms) {
    self->delayed_send(self, delay, commit_due{});
  } else if (!commit_scheduled) {
    commit_scheduled = true;
    self->send(self, commit_due{});  // behind everything that waits in the mailbox now
  }
}

void writer_state::commit() {
  beat->beat();
  if (pending.empty() && changed.empty() && removable.empty())
    return;
  std::vector<batch> done;
  if (try_commit(done))
    return after_commit(std::move(done));
  pending.clear();
  pending_bytes = 0;
  producers.roll_back();
  failed_commits->add();
  self->delayed_send(self, retry_delay, housekeeping_due{});
}

bool writer_state::try_commit(std::vector<batch>& done) {
  const auto begin = std::chrono::steady_clock::now();
  try {
    batch_file::update u(*ctx->file);
    apply_confirmed(u);
    for (auto& o : pending) {
      auto& record_class = producers.find(o.producer)->record_class;
      done.push_back({record_class, u.append(record_class, o.count, o.crc, o.payload.view()), o.crc, 0, o.payload});
    }
    std::set<std::string> seen;
    for (auto o = pending.rbegin(); o != pending.rend(); ++o)
      if (seen.insert(o->producer).second)
        u.producer(o->producer, producers.find(o->producer)->record_class, o->seq, o->position);
    const auto bytes = u.used_bytes();
    u.commit();
    note_space(bytes);
  } catch (const storage::error& e) {
    ctx->rt.set_state("store", e.full() ? "full" : "failing", e.what(), false);
    if (e.full())
      full = true;
    if (e.damaged())
      ctx->rt.fail(e.what());
    return false;
  }
  commits->add();
  commit_seconds->add(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return true;
}

void writer_state::apply_confirmed(batch_file::update& u) {
  for (auto& [key, dirty] : changed)
    u.delivered(key.first, key.second, delivery.delivered(key.first, key.second));
  for (auto& [record_class, ranges] : removable)
    for (auto& r : ranges)
      u.remove(record_class, r);
}

// Full at the quota, open again a little below it: the border must not be crossed with every batch.
void writer_state::note_space(std::uint64_t bytes) {
  used->set(static_cast<double>(bytes));
  const auto quota = settings().quota.count;
  const bool now_full = full ? bytes > quota - quota / 20 : bytes >= quota;
  if (now_full)
    ctx->rt.set_state("store", "full", fmt::format("{} of {} bytes; producers wait", bytes, quota), false);
  else
    ctx->rt.set_state("store", "open", fmt::format("epoch {:016x}", ctx->file->epoch()));
  if (now_full != full) {
    full = now_full;
    ctx->rt.alarm("store_full", full, fmt::format("{} of {} bytes", bytes, quota));
    for (auto& [name, row] : producers.rows())
      if (row.session != 0)
        acknowledge(name);
  }
}

void writer_state::after_commit(std::vector<batch>&& done) {
  changed.clear();
  removable.clear();
  std::set<std::string> seen;
  for (auto& o : pending) {
    producers.committed(o.producer, o.seq, o.position);
    seen.insert(o.producer);
    stored_records->add(o.count);
  }
  stored_bytes->add(static_cast<double>(pending_bytes));
  pending.clear();
  pending_bytes = 0;
  for (auto& p : seen)
    acknowledge(p);
  for (auto& b : done) {
    v1::RecordPlace place;
    place.set_gateway(ctx->rt.config().name);
    place.set_epoch(ctx->file->epoch());
    place.set_record_class(b.record_class);
    place.set_first_seq(b.seqs.first);
    ctx->rt.publish_records(place, b.payload);
  }
  if (listener && !done.empty())
    self->send(listener, stored{std::move(done)});
}

void writer_state::acknowledge(const std::string& producer) {
  auto* row = producers.find(producer);
  v1::StoreMessage m;
  auto& a = *m.mutable_ack();
  a.set_producer(producer);
  a.set_session(row->session);
  a.set_last_seq(row->committed);
  a.set_window_bytes(window());
  send(row->peer, m);
}

void writer_state::on_housekeeping() {
  beat->beat();
  if (full || !pending.empty())
    commit();
  if (full) {
    try {
      batch_file::update u(*ctx->file);
      const auto bytes = u.used_bytes();
      u.touch();
      u.commit();
      note_space(bytes);
    } catch (const storage::error& e) {
      ctx->rt.set_state("store", "failing", e.what(), false);
    }
  }
}

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
