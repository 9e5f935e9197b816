// WRITER, the room: which batches give way, to newer ones or to time, and whose producers wait.

#include "services/store/writer_state.hpp"

#include "common/core/time.hpp"
#include "common/storage/stored_batch.hpp"
#include "common/telemetry/log.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace holdfast::store {

namespace {

// Batches looked at in one transaction, so that no offer waits long behind them.
constexpr std::uint64_t most_steps = 4096;
// Beats without displacement until the alarm is over.
constexpr int calm = 20;
// Of the clock that ages are measured on so much may be forgotten by a power cut.
constexpr std::int64_t ages_period = 60'000'000'000;

} // namespace

void writer_state::open_room() {
  auto& classes = ctx->rt.config().classes;
  auto& m = ctx->rt.metrics();
  used = &m.gauge("holdfast_store_used_bytes", "Space taken by batches in the store's file");
  m.gauge("holdfast_store_quota_bytes", "Space batches may take").set(static_cast<double>(settings().quota.count));
  for (auto& c : classes) {
    const metrics::labels tag{{"class", c.name}};
    figures[c.name] = {&m.gauge("holdfast_store_class_used_bytes", "Space taken by batches of the class", tag),
                       &m.counter("holdfast_store_displaced_records_total", "Records that gave way to newer ones", tag),
                       &m.counter("holdfast_store_expired_records_total", "Records whose time to live ended", tag)};
    m.gauge("holdfast_store_durability_window_seconds",
            "Offers wait so long for others before their commit; what is acknowledged is on disk", tag)
      .set(std::chrono::duration<double>(c.durability_window).count());
    gathering[c.name] = c.durability_window;
    orders.emplace(c.name, give_way_order(c.overflow));
  }
  policy = class_policy(classes, settings().quota.count);
  ages = expiry(classes, ctx->file->expiry(), boot_id(), boottime_nanos(), ctx->file->heads());
  tell_space(ctx->file->used());  // the quota may be lower than it was
}

// -- who gives way ------------------------------------------------------------------------------------------------------

void writer_state::make_room(batch_file::update& u, what w, leaving& out) {
  if (w == what::confirmations) {
    if (space.short_of_room())
      for (auto& name : policy.give_way_on_disk())
        displace(u, {name, UINT64_MAX, true}, space.removals(), out);
    return;
  }
  class_policy::sizes incoming;
  for (auto& o : pending)
    incoming[producers.find(o.producer)->record_class] += o.payload.size() + storage::stored_batch::header_bytes;
  const auto now = u.used();
  for (auto& v : policy.give_way(now.by_class, now.total, incoming))
    displace(u, v, most_steps + pending_bytes / 32, out);  // keeps pace with what comes
  if (expiring)
    expire(u, out);
}

void writer_state::displace(batch_file::update& u, const class_policy::victim& v, std::uint64_t steps, leaving& out) {
  auto& record_class = v.record_class;
  auto& order = out.orders.at(record_class);
  const auto before = u.used_bytes(record_class);
  const auto target = before - std::min(v.bytes, before);
  bool stuck = false;
  for (; steps > 0 && u.used_bytes(record_class) > target; --steps) {
    const auto held = u.next_held(record_class, order.next());
    if (held) {
      if (order.takes(held->seqs, held->bytes))
        stuck = !give_up(u, record_class, held->seqs, v1::GAP_REASON_DISPLACED, out);
    } else if (stuck || order.next() == 1) {
      if (v.for_store)
        policy.exhausted(record_class);
      return;
    } else {
      order.end();
    }
  }
}

void writer_state::expire(batch_file::update& u, leaving& out) {
  auto steps = most_steps;
  for (auto& [record_class, last] : out.ages.due(boottime_nanos())) {
    for (std::uint64_t from = 1; steps > 0; --steps) {
      const auto held = u.next_held(record_class, from);
      if (!held || held->seqs.last > last) {
        out.ages.done(record_class, last);
        break;
      }
      give_up(u, record_class, held->seqs, v1::GAP_REASON_EXPIRED, out);
      from = held->seqs.last + 1;
    }
  }
  out.more = steps == 0;
}

bool writer_state::give_up(batch_file::update& u, const std::string& record_class, seq_range held, v1::GapReason why,
                           leaving& out) {
  if (!u.give_up(record_class, held, why))
    return false;
  out.gone.batches.push_back({record_class, held});
  out.records[{record_class, why}] += held.count();
  return true;
}

void writer_state::note_ages(batch_file::update& u, const std::vector<batch>& done, leaving& out) {
  if (out.ages.unused())
    return;
  const auto now = boottime_nanos();
  bool changed_ages = expiring || now - ages_kept > ages_period;
  for (auto& b : done)
    changed_ages = out.ages.stored(b.record_class, b.seqs.last, now) || changed_ages;
  if (!changed_ages)
    return;
  u.expiry(out.ages.row(now));
  ages_kept = now;
}

// The transaction stood.
void writer_state::left(leaving&& out) {
  orders = std::move(out.orders);
  ages = std::move(out.ages);
  expiring = out.more;
  for (auto& [what, records] : out.records) {
    auto& [record_class, why] = what;
    auto& f = figures.at(record_class);
    (why == v1::GAP_REASON_EXPIRED ? f.expired : f.displaced)->add(static_cast<double>(records));
    log::debug("records gave way class={} records={} cause={}", record_class, records, v1::GapReason_Name(why));
    if (why != v1::GAP_REASON_DISPLACED)
      continue;
    f.quiet_beats = 0;
    if (!std::exchange(f.displacing, true))
      ctx->rt.alarm("displacing:" + record_class, true, "no room: records give way to newer ones");
  }
  if (listener && !out.gone.batches.empty())
    self->send(listener, std::move(out.gone));
}

// With each beat.
void writer_state::watch_room() {
  for (auto& [name, f] : figures)
    if (f.displacing && ++f.quiet_beats >= calm) {
      f.displacing = false;
      ctx->rt.alarm("displacing:" + name, false, {});
    }
  const auto now = boottime_nanos();
  expiring = expiring || (!ages.unused() && (!ages.due(now).empty() || now - ages_kept > ages_period));
}

// -- who waits ----------------------------------------------------------------------------------------------------------

void writer_state::tell_space(const batch_file::usage& now, const std::string& cause) {
  used->set(static_cast<double>(now.total));
  policy.measured(now.by_class, now.total, space.short_of_room());
  std::set<std::string> who;
  for (auto& [name, bytes] : now.by_class) {
    figures.at(name).used->set(static_cast<double>(bytes));
    if (space.short_of_room() || policy.waits(name))
      who.insert(name);
  }
  const auto text = fmt::format("{} of {} bytes{}{}; producers of {} wait", now.total, settings().quota.count,
                                cause.empty() ? "" : "; ", cause, fmt::join(who, ", "));
  const bool told = full() && cause.empty() && space.short_of_room();  // the cause stays to be seen until it is over
  if (!who.empty() && !told)
    ctx->rt.set_state("store", "full", text, false);
  else if (who.empty())
    ctx->rt.set_state("store", "open", fmt::format("epoch {:016x}", ctx->file->epoch()));
  if (who == waiting)
    return;
  waiting.swap(who);  // now `who` waited before
  ctx->rt.alarm("store_full", full(), text);
  for (auto& [name, row] : producers.rows())
    if (row.session != 0 && waiting.contains(row.record_class) != who.contains(row.record_class))
      acknowledge(name);
}

} // namespace holdfast::store
