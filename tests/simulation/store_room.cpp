// WRITER, the room: which batches give way, to newer ones or to time, and whose producers wait.

#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/record.pb.h"
#include "tests/simulation/source.hpp"
#include "tests/simulation/store.hpp"

#include <algorithm>

namespace holdfast::simulation {

namespace {
constexpr std::uint64_t most_steps = 4096;  // as in writer_room.cpp
constexpr std::int64_t ages_period = 60'000'000'000;
} // namespace

std::int64_t writer::boottime() const {
  return std::chrono::nanoseconds(process_.w.now().time_since_epoch()).count();
}

void writer::open_room() {
  auto classes = site_.config.classes;
  for (auto& c : classes) {
    if (process_.w.has(defect::reject_displaced))
      c.overflow = config::overflow_rule::drop_oldest;
    if (process_.w.has(defect::expired_early))
      c.ttl /= 2;
    orders_.emplace(c.name, store::give_way_order(c.overflow));
  }
  policy_ = store::class_policy(classes, site_.config.store.quota.count);
  auto& file = *process_.file;
  ages_ = store::expiry(classes, file.expiry(), std::to_string(site_.disk.boot), boottime(), file.heads());
  tell_space();
}

// -- who gives way ----------------------------------------------------------------------------------------------------

void writer::make_room(store_file::update& u, leaving& out) {
  store::class_policy::sizes incoming;
  for (auto& o : pending_)
    incoming[producers_.find(o.producer)->record_class] += o.payload.size() + storage::stored_batch::header_bytes;
  std::uint64_t total = 0;
  const auto used = u.used();
  for (auto& [name, bytes] : used)
    total += bytes;
  for (auto& v : policy_.give_way(used, total, incoming))
    displace(u, v, most_steps + pending_bytes_ / 32, out);
  if (expiring_)
    expire(u, out);
}

void writer::displace(store_file::update& u, const store::class_policy::victim& v, std::uint64_t steps, leaving& out) {
  auto& record_class = v.record_class;
  auto& order = out.orders.at(record_class);
  const auto used = [&] { return u.used()[record_class]; };
  const auto before = used();
  const auto target = before - std::min(v.bytes, before);
  for (; steps > 0 && used() > target; --steps) {
    if (const auto held = u.next_held(record_class, order.next())) {
      if (order.takes(held->seqs, held->bytes))
        give_up(u, record_class, held->seqs, v1::GAP_REASON_DISPLACED, out);
    } else if (order.next() == 1) {
      if (v.for_store)
        policy_.exhausted(record_class);
      return;
    } else {
      order.end();
    }
  }
}

void writer::expire(store_file::update& u, leaving& out) {
  auto steps = most_steps;
  for (auto& [record_class, last] : out.ages.due(boottime()))
    for (std::uint64_t from = 1; steps > 0; --steps) {
      const auto held = u.next_held(record_class, from);
      if (!held || held->seqs.last > last) {
        out.ages.done(record_class, last);
        break;
      }
      give_up(u, record_class, held->seqs, v1::GAP_REASON_EXPIRED, out);
      from = held->seqs.last + 1;
    }
  out.more = steps == 0;
}

void writer::give_up(store_file::update& u, const std::string& record_class, seq_range held, std::uint32_t why,
                     leaving& out) {
  process_.w.trace("store", "{} {} to {} gives way: {}", record_class, held.first, held.last,
                   v1::GapReason_Name(static_cast<v1::GapReason>(why)));
  u.give_up(record_class, held, why);
  out.gone.emplace_back(record_class, held.first);
}

void writer::note_ages(store_file::update& u, const std::vector<store::batch>& done, leaving& out) {
  if (out.ages.unused())
    return;
  const auto now = boottime();
  bool changed_ages = expiring_ || now - ages_kept_ > ages_period;
  for (auto& b : done)
    changed_ages = out.ages.stored(b.record_class, b.seqs.last, now) || changed_ages;
  if (!changed_ages)
    return;
  u.expiry(out.ages.row(now));
  ages_kept_ = now;
}

// The transaction stood.
void writer::left(leaving&& out) {
  orders_ = std::move(out.orders);
  ages_ = std::move(out.ages);
  expiring_ = out.more;
  auto& to = *process_.dispatch;
  if (!out.gone.empty())
    to.box.send([&to, gone = std::move(out.gone)] { to.on_gave_way(gone); });
}

// With each beat.
void writer::watch_room() {
  const auto now = boottime();
  expiring_ = expiring_ || (!ages_.unused() && (!ages_.due(now).empty() || now - ages_kept_ > ages_period));
}

// -- who waits --------------------------------------------------------------------------------------------------------

void writer::tell_space() {
  std::uint64_t total = 0;
  const auto used = process_.file->used();
  for (auto& [name, bytes] : used)
    total += bytes;
  policy_.measured(used, total);
  std::set<std::string> who;
  for (auto& [name, bytes] : used)
    if (policy_.waits(name))
      who.insert(name);
  if (who == waiting_)
    return;
  waiting_.swap(who);  // now `who` waited before
  process_.w.trace("store", "classes that wait: {}", waiting_.size());
  for (auto& [name, row] : producers_.rows())
    if (row.session != 0 && waiting_.contains(row.record_class) != who.contains(row.record_class))
      acknowledge(name);
}

} // namespace holdfast::simulation
