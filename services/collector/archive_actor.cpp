// ARCHIVE: commits what the sessions bring, all that waits in one transaction, and acknowledges after it.

#include "services/collector/archive.hpp"
#include "services/collector/collector.hpp"
#include "services/collector/session.hpp"

#include "common/actor/guard.hpp"
#include "common/storage/lmdb.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/dispatch.pb.h"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/record.pb.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace holdfast::collector {

namespace {

using namespace std::chrono_literals;

// One commit: however much waits, the loop gets on and acknowledges in between.
constexpr std::uint64_t max_commit_bytes = 16 << 20;
constexpr std::size_t max_commit_batches = 4096;
constexpr auto beat_period = 500ms;
// A life that took this long was not ended by the file.
constexpr auto settle_time = 10s;

struct archive_state {
  static inline const char* name = "ARCHIVE";

  caf::stateful_actor<archive_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<pulse::loop> beat;
  std::unique_ptr<archive> file;
  inbox present;
  struct pending {
    arrived batch;
    bool fresh;                   // repeated ones want an acknowledgement too
  };
  std::vector<pending> waiting;
  std::uint64_t waiting_bytes = 0;
  bool scheduled = false;
  bool full = false;
  std::chrono::steady_clock::time_point opened{};  // none: it stood long enough
  metrics::value* records = nullptr;
  metrics::value* bytes = nullptr;
  metrics::value* duplicates = nullptr;
  metrics::value* origins = nullptr;
  metrics::value* holes = nullptr;
  metrics::value* commits = nullptr;
  metrics::value* used = nullptr;

  void open();
  void on_arrived(const arrived& a);
  void take_gap(const arrived& a);
  void take_elsewhere(const arrived& a);
  bool same(const arrived& a);
  void reject(const arrived& a, v1::Rejected::Reason why, const std::string& detail);
  void wait(const arrived& a, bool fresh);
  void commit();
  bool store_fresh();
  void publish();
  void acknowledge();
  void give_up(const std::string& why);
  void check_space();
  void on_beat();
};

void archive_state::open() {
  file = std::make_unique<archive>(ctx->settings);
  if (!file->set_aside().empty())
    ctx->rt.alarm("archive_damaged", true, "set aside " + file->set_aside() + ": collector dump reads it");
  file->load(present);
  opened = std::chrono::steady_clock::now();
  auto& m = ctx->rt.metrics();
  records = &m.counter("holdfast_collector_records_total", "Records stored");
  bytes = &m.counter("holdfast_collector_bytes_total", "Payload bytes stored");
  duplicates = &m.counter("holdfast_collector_duplicates_total", "Batches that were here already");
  origins = &m.gauge("holdfast_collector_origins", "Classes of epochs of gateways in the archive");
  holes = &m.gauge("holdfast_collector_holes", "Holes in the numbers of all origins");
  commits = &m.counter("holdfast_collector_commits_total", "Commits");
  used = &m.gauge("holdfast_collector_used_bytes", "Space taken in the archive");
  check_space();
}

void archive_state::check_space() {
  const auto now = file->used_bytes();
  used->set(static_cast<double>(now));
  origins->set(static_cast<double>(present.origins()));
  holes->set(static_cast<double>(present.holes()));
  full = now >= ctx->settings.quota.count;
  if (full)
    ctx->rt.set_state("archive", "full", fmt::format("{} of {} bytes; acknowledges no more", now,
                                                     ctx->settings.quota.count), false);
  else
    ctx->rt.set_state("archive", "open", ctx->settings.directory);
}

void archive_state::on_arrived(const arrived& a) {
  beat->beat();
  if (full)
    return;  // no acknowledgement: the gateway keeps it and comes again
  if (a.from->refused())
    return;  // what came before it was not stored, and whatever is must be in order
  if (a.gap_reason != 0)
    return take_gap(a);
  using verdict = inbox::verdict;
  const auto found = a.check_only ? present.look(a.origin, a.seqs) : present.take(a.origin, a.seqs);
  if (inbox::limited(found))
    return reject(a, v1::Rejected::REASON_LIMIT, present.limit_text(found));
  if (found == verdict::duplicate && same(a)) {
    if (!a.check_only)
      duplicates->add();
    return wait(a, false);
  }
  if (a.check_only && file->same_elsewhere(a.origin, a.seqs, a.crc))
    return take_elsewhere(a);
  if (a.check_only && found == verdict::fresh)
    return reject(a, v1::Rejected::REASON_MISSING, "not here");
  if (found != verdict::fresh)
    return reject(a, v1::Rejected::REASON_CONFLICT, "other records are stored under these numbers");
  wait(a, true);
}

// It is here under another epoch. Under this one a gap stands for it, so that whoever reads in order goes on.
void archive_state::take_elsewhere(const arrived& a) {
  auto gap = a;
  gap.gap_reason = v1::GAP_REASON_CONFIRMED_BEFORE;
  take_gap(gap);
}

// A gap stands for what is not here; what came in spite of it stays.
void archive_state::take_gap(const arrived& a) {
  for (auto& piece : present.missing(a.origin, a.seqs)) {
    auto part = a;
    part.seqs = piece;
    part.from = nullptr;  // the whole is acknowledged
    if (const auto found = present.take(a.origin, piece); inbox::limited(found))
      return reject(a, v1::Rejected::REASON_LIMIT, present.limit_text(found));
    wait(part, true);
  }
  wait(a, false);
}

// Also what waits for its commit counts as stored: two links may bring the same batch at once.
bool archive_state::same(const arrived& a) {
  return file->same(a.origin, a.seqs, a.crc) || std::any_of(waiting.begin(), waiting.end(), [&](auto& w) {
    return w.fresh && w.batch.gap_reason == 0 && w.batch.origin == a.origin && w.batch.seqs == a.seqs
           && w.batch.crc == a.crc;
  });
}

namespace {

const char* reason_text(v1::Rejected::Reason why) {
  switch (why) {
    case v1::Rejected::REASON_CONFLICT: return "conflict";
    case v1::Rejected::REASON_MISSING: return "missing";
    default: return "limit";
  }
}

} // namespace

void archive_state::reject(const arrived& a, v1::Rejected::Reason why, const std::string& detail) {
  ctx->rt.metrics().counter("holdfast_collector_rejected_total", "Batches not stored", {{"reason", reason_text(why)}}).add();
  v1::Rejected r;
  r.set_record_class(a.origin.record_class);
  r.set_first_seq(a.seqs.first);
  r.set_record_count(static_cast<std::uint32_t>(a.seqs.count()));
  r.set_reason(why);
  r.set_detail(detail);
  a.from->send_rejected(r, a.cost());
}

void archive_state::wait(const arrived& a, bool fresh) {
  waiting.push_back({a, fresh});
  waiting_bytes += a.payload.size();
  if (waiting_bytes >= max_commit_bytes || waiting.size() >= max_commit_batches)
    return commit();
  if (!scheduled) {
    scheduled = true;
    self->send(self, commit_due{});  // behind everything that waits in the mailbox now
  }
}

void archive_state::commit() {
  beat->beat();
  if (waiting.empty() || !store_fresh())
    return;
  acknowledge();
  publish();
  waiting.clear();
  waiting_bytes = 0;
}

bool archive_state::store_fresh() {
  std::vector<archive::arrival> fresh;
  for (auto& [a, is_fresh] : waiting)
    if (is_fresh)
      fresh.push_back({a.origin, a.seqs, a.crc, a.gap_reason, a.historical, a.payload.view()});
  if (fresh.empty())
    return true;
  try {
    file->append(fresh, present);
  } catch (const storage::error& e) {
    give_up(e.what());
    if (e.unusable()) {
      file->condemn(e);
      ctx->rt.fail(e.what());
    }
    return false;
  }
  commits->add();
  for (auto& f : fresh) {
    records->add(static_cast<double>(f.seqs.count()));
    bytes->add(static_cast<double>(f.payload.size()));
  }
  check_space();
  return true;
}

// For taps at the centre: what is on disk now.
void archive_state::publish() {
  for (auto& [a, fresh] : waiting) {
    if (!fresh || a.gap_reason != 0)
      continue;
    v1::RecordPlace place;
    place.set_gateway(a.origin.gateway);
    place.set_epoch(a.origin.epoch);
    place.set_record_class(a.origin.record_class);
    place.set_first_seq(a.seqs.first);
    ctx->rt.publish_records(place, a.payload);
  }
}

void archive_state::acknowledge() {
  struct answer {
    std::map<std::string, range_set> stored;
    std::size_t cost = 0;
  };
  std::map<std::shared_ptr<session>, answer> answers;
  for (auto& [w, fresh] : waiting) {
    if (!w.from)
      continue;
    auto& a = answers[w.from];
    a.stored[w.origin.record_class].insert(w.seqs);
    a.cost += w.cost();
  }
  for (auto& [to, a] : answers) {
    std::map<std::string, std::vector<seq_range>> ranges;
    for (auto& [record_class, set] : a.stored)
      ranges[record_class] = set.ranges();
    to->send_ack(ranges, a.cost);
  }
}

// Nothing of this commit is stored: the sessions end without an acknowledgement, the gateways come again.
void archive_state::give_up(const std::string& why) {
  ctx->rt.set_state("archive", "failing", why, false);
  std::set<std::shared_ptr<session>> sessions;
  for (auto& [w, fresh] : waiting) {
    if (fresh)
      present.give_back(w.origin, w.seqs);
    if (w.from)
      sessions.insert(w.from);
  }
  for (auto& s : sessions)
    s->refuse("archive cannot store now: " + why);
  waiting.clear();
  waiting_bytes = 0;
}

void archive_state::on_beat() {
  beat->beat();
  file->forget_dead_readers();
  if (opened.time_since_epoch().count() != 0 && std::chrono::steady_clock::now() - opened > settle_time) {
    file->settled();
    opened = {};
  }
  if (full)
    check_space();
}

caf::behavior archive_actor(caf::stateful_actor<archive_state>* self, std::shared_ptr<context> ctx) {
  actor::guard(self, "ARCHIVE");
  auto& st = self->state;
  st.self = self;
  st.ctx = std::move(ctx);
  st.beat = st.ctx->rt.pulse().add("archive", std::chrono::seconds(30));
  st.open();
  self->delayed_send(self, beat_period, caf::tick_atom::value);
  return {
    [self](const arrived& a) { self->state.on_arrived(a); },
    [self](const commit_due&) {
      self->state.scheduled = false;
      self->state.commit();
    },
    [self](const greeted& g) {
      self->state.commit();  // what is told counts there, where nothing is left to compare: it must be on disk
      auto& present = self->state.present;
      g.from->send_welcome(present.present(g.gateway, g.epoch), present.elsewhere(g.gateway, g.epoch));
    },
    [self](caf::tick_atom) {
      self->state.on_beat();
      self->delayed_send(self, beat_period, caf::tick_atom::value);
    },
  };
}

} // namespace

caf::actor spawn_archive(caf::actor_system& system, std::shared_ptr<context> ctx) {
  auto a = system.spawn(archive_actor, ctx);
  ctx->archive.set(a);
  return a;
}

} // namespace holdfast::collector
