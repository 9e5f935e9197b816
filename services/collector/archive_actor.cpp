// ARCHIVE: takes what the sessions bring; archive_commit.cpp stores it.

#include "services/collector/archive_state.hpp"

#include "common/actor/guard.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/record.pb.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::collector {

namespace {

using namespace std::chrono_literals;

constexpr auto beat_period = 500ms;
// A life that took this long was not ended by the file.
constexpr auto settle_time = 10s;

} // namespace

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
    ctx->rt.set_state("archive", "full", fmt::format("{} of {} bytes; takes no more", now,
                                                     ctx->settings.quota.count), false);
  else
    ctx->rt.set_state("archive", "open", ctx->settings.directory);
}

void archive_state::on_arrived(const arrived& a) {
  beat->beat();
  if (a.from->refused())
    return;  // what came before it was not stored, and whatever is must be in order
  if (full)
    return refuse_full(*a.from);
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
  ctx->rt.metrics()
    .counter("holdfast_collector_rejected_total", "Batches not stored", {{"reason", reason_text(why)}})
    .add();
  v1::Rejected r;
  r.set_record_class(a.origin.record_class);
  r.set_first_seq(a.seqs.first);
  r.set_record_count(static_cast<std::uint32_t>(a.seqs.count()));
  r.set_reason(why);
  r.set_detail(detail);
  a.from->send_rejected(r, a.cost());
}

// Said, and not just left unanswered: the gateway would send its whole window again and again, over each of its links.
// It keeps what it has and comes again, ever more rarely.
void archive_state::refuse_full(session& from) {
  from.refuse(fmt::format("archive is full: {} of {} bytes", file->used_bytes(), ctx->settings.quota.count));
}

void archive_state::on_greeted(const greeted& g) {
  commit();  // what is told counts there, where nothing is left to compare: it must be on disk
  if (full)
    return refuse_full(*g.from);
  g.from->send_welcome(present.present(g.gateway, g.epoch), present.elsewhere(g.gateway, g.epoch));
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

namespace {

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
    [self](const greeted& g) { self->state.on_greeted(g); },
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
