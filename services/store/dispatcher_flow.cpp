// DISPATCHER, the flow: which batch goes over which link next, read from the cache or the file.

#include "services/store/dispatcher_state.hpp"

#include "common/core/time.hpp"
#include "common/storage/stored_batch.hpp"
#include "common/telemetry/log.hpp"
#include "services/store/dispatch_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace holdfast::store {

namespace {

// Batches read from disk in one turn; then other messages get theirs.
constexpr int reads_per_turn = 32;
// Read back from the map between two looks; above it the process lets go of the mapped pages (the kernel keeps them).
constexpr std::uint64_t map_release = 16 << 20;

} // namespace

void dispatcher_state::pump() {
  if (renewing)
    return;
  const auto foreign = [](auto& entry) { return entry.second.plan.foreign(); };
  const bool mistrusted = std::any_of(boards.begin(), boards.end(), foreign);
  int reads = 0;
  for (auto& [name, board] : boards) {
    while (auto o = board.plan.next(mistrusted)) {
      if (!carry_out(board, *o, reads))
        break;
    }
  }
  if (mistrusted)
    renew_when_settled();
  if (reads >= reads_per_turn && !pump_scheduled) {
    pump_scheduled = true;
    self->send(self, pump_due{});
  }
}

// Some destination has numbers that are not ours. What is on its way under them, and what the destinations claim to
// have, is settled first: afterwards the same records go under the new epoch, and must not be there twice.
void dispatcher_state::renew_when_settled() {
  std::string whose;
  for (auto& [name, board] : boards) {
    if (!board.plan.settled())
      return;
    if (board.plan.foreign())
      whose = name;
  }
  const auto now = dispatch_plan::clock::now();
  const auto why = fmt::format("destination {} has numbers that this store did not give it", whose);
  ctx->rt.alarm("foreign_numbers", true, why);
  if (!renewals.due(now))
    return;  // looked at again with each beat
  renewals.tried(now);
  renewing = true;
  ctx->writer.send(renew{why});
}

// False: this turn has read enough.
bool dispatcher_state::carry_out(route_board& board, const dispatch_plan::order& o, int& reads) {
  std::optional<batch> found;
  if (needs_batch(o)) {
    if (reads >= reads_per_turn)
      return false;
    found = read(o, reads);
  }
  const auto step = step_of(o, found);
  if (step.damaged) {
    damaged->add();
    log::error("damaged batch class={} first_seq={} last_seq={}", o.record_class, step.seqs.first, step.seqs.last);
  }
  switch (step.what) {
    case dispatch_step::act::send: lease(board, o, *found); break;
    case dispatch_step::act::gap: lease(board, o, {o.record_class, step.seqs, 0, step.reason, {}}); break;
    case dispatch_step::act::skip: board.plan.skipped(o); break;
  }
  return true;
}

std::optional<batch> dispatcher_state::read(const dispatch_plan::order& o, int& reads) {
  if (auto cached = cache->find(o.record_class, o.todo.first))
    return cached;
  ++reads;
  reread->add();
  auto found = ctx->file->read_from(o.record_class, o.todo.first);
  resident += found ? found->payload.size() : 0;
  return found;
}

void dispatcher_state::forget_confirmed(const std::string& record_class) {
  auto oldest = std::numeric_limits<std::uint64_t>::max();
  for (auto& [name, board] : boards)
    oldest = std::min(oldest, board.plan.oldest(record_class).value_or(oldest));
  cache->forget_below(record_class, oldest);
}

void dispatcher_state::lease(route_board& board, const dispatch_plan::order& o, const batch& b) {
  const auto payload = o.how == dispatch_plan::kind::check ? 0 : b.payload.size();
  const auto bytes = payload + storage::stored_batch::header_bytes;
  if (!board.charge(o, bytes, present()))
    return;  // it waits for the next count, or goes over another link
  board.plan.leased(o, b.seqs, bytes, dispatch_plan::clock::now());
  send_batch(links.at(o.link), b, o.how);
}

void dispatcher_state::send_batch(const attached_link& link, const batch& b, dispatch_plan::kind how) {
  const bool check = how == dispatch_plan::kind::check;
  v1::RouteMessage m;
  auto& d = *m.mutable_dispatch();
  d.set_session(link.session);
  d.set_record_class(b.record_class);
  d.set_first_seq(b.seqs.first);
  d.set_record_count(static_cast<std::uint32_t>(b.seqs.count()));
  d.set_crc32c(b.crc);
  d.set_historical(how == dispatch_plan::kind::backlog);
  d.set_gap_reason(b.gap_reason);
  d.set_check_only(check);
  d.set_connection(link.connection);
  send(link.peer, m, {check ? blob{} : b.payload});
  (check ? checked : dispatched)->add();
}

void dispatcher_state::send(const std::string& peer, const v1::RouteMessage& m, std::vector<blob> more) {
  std::vector<blob> parts{blob(m.SerializeAsString())};
  for (auto& part : more)
    parts.push_back(std::move(part));
  ctx->rt.bus().send(ctx->dispatch, {peer, std::move(parts)});
}

void dispatcher_state::figures() {
  beat->beat();
  show();
  if (!renewing && std::none_of(boards.begin(), boards.end(), [](auto& entry) { return entry.second.plan.foreign(); }))
    ctx->rt.alarm("foreign_numbers", false, {});
  if (std::exchange(resident, 0) > map_release)
    ctx->file->env().release_resident();
  auto& m = ctx->rt.metrics();
  m.gauge("holdfast_store_cached_bytes", "Unconfirmed batches in memory").set(static_cast<double>(cache->bytes()));
  const auto now = drain_forecast::clock::now();
  for (auto& [name, board] : boards) {
    auto& plan = board.plan;
    const metrics::labels tags{{"destination", name}};
    const auto set = [&](const char* metric, const char* help, std::uint64_t n) {
      m.gauge(metric, help, tags).set(static_cast<double>(n));
    };
    set("holdfast_store_backlog_records", "Records waiting as backlog", plan.backlog_records());
    set("holdfast_store_live_records", "Live records waiting for a link", plan.live_records());
    set("holdfast_store_in_flight_bytes", "Bytes leased to links", plan.in_flight_bytes());
    set("holdfast_store_parked_records", "Records in batches the destination does not take", plan.parked_records());
    auto& drain = drains[name];
    drain.sample(plan.backlog_records(), now);
    m.gauge("holdfast_store_drain_seconds", "Until the backlog is gone, as it shrinks now; -1: it does not", tags)
      .set(drain.seconds());
    if (plan.parked_records() == 0)
      ctx->rt.alarm("rejected:" + name, false, {});
    std::int64_t oldest = 0;
    for (auto& c : ctx->rt.config().classes)
      if (auto seq = plan.oldest(c.name))
        if (auto stored_at = ctx->file->stored_at(c.name, *seq); stored_at && (oldest == 0 || *stored_at < oldest))
          oldest = *stored_at;
    m.gauge("holdfast_store_oldest_unsent_seconds", "Age of the oldest record not yet confirmed", tags)
      .set(oldest == 0 ? 0.0 : std::max(0.0, static_cast<double>(unix_nanos() - oldest) / 1e9));  // the clock may step
  }
}

} // namespace holdfast::store
