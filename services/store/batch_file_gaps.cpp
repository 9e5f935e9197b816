// The store's file, records that gave way on purpose: in the place of their batches lie gaps, until every destination
// has confirmed them.

#include "services/store/batch_file.hpp"

#include "common/storage/stored_batch.hpp"

#include <algorithm>

namespace holdfast::store {

namespace {

struct gap {
  seq_range seqs;
  std::uint32_t reason;
  std::int64_t stored;
};

// A batch has a payload: of those with none only the key is read, and no page that may have to come from the disk.
std::optional<gap> gap_of(const std::string& record_class, const std::optional<storage::cursor::entry>& e) {
  if (!e || e->value.size() > storage::stored_batch::header_bytes)
    return std::nullopt;
  const auto b = storage::stored_batch::decode(e->value, {record_class, e->key});
  if (!b || b->gap_reason == 0 || b->record_count == 0 || !b->payload.empty())
    return std::nullopt;
  const auto first = storage::key_seq(e->key);
  return gap{{first, first + b->record_count - 1}, b->gap_reason, b->stored_unix_nanos};
}

storage::txn::entry_check length_check(const std::string& record_class) {
  return [&](std::string_view key, std::string_view value) {
    return storage::stored_batch::length_fits(value, {record_class, key});
  };
}

bool fits(seq_range a, seq_range b) { return a.count() + b.count() <= UINT32_MAX; }  // a row's count has 32 bits

} // namespace

std::uint64_t batch_file::update::remove(const std::string& record_class, seq_range r, std::uint64_t most) {
  cut_gap(record_class, r.first);
  cut_gap(record_class, r.last + 1);
  return txn_.erase_seqs(file_.tables_.at(record_class), r.first, r.last, most, length_check(record_class));
}

// What was told of a gap while it grew, or to one of several destinations, may end in its middle.
void batch_file::update::cut_gap(const std::string& record_class, std::uint64_t at) {
  storage::cursor c(txn_, file_.tables_.at(record_class));
  const auto e = c.at_or_before(storage::seq_key(at));
  if (!e || storage::key_seq(e->key) == at)
    return;
  const auto whole = gap_of(record_class, e);
  if (!whole || whole->seqs.last < at)
    return;
  put_gap(record_class, {whole->seqs.first, at - 1}, whole->reason, whole->stored);
  put_gap(record_class, {at, whole->seqs.last}, whole->reason, whole->stored);
}

void batch_file::update::put_gap(const std::string& record_class, seq_range r, std::uint32_t reason,
                                 std::int64_t stored) {
  storage::stored_batch b;
  b.record_count = static_cast<std::uint32_t>(r.count());
  b.gap_reason = reason;
  b.stored_unix_nanos = stored;
  const auto key = storage::seq_key(r.first);
  std::string row(b.encoded_bytes(), '\0');
  b.encode(row.data(), {record_class, key});
  txn_.put(file_.tables_.at(record_class), key, row);
}

std::optional<batch_file::update::held_batch> batch_file::update::next_held(const std::string& record_class,
                                                                            std::uint64_t seq) {
  storage::cursor c(txn_, file_.tables_.at(record_class));
  auto e = c.at_or_after(storage::seq_key(seq));
  while (gap_of(record_class, e))
    e = c.next();
  if (!e)
    return std::nullopt;
  const auto first = storage::key_seq(e->key);
  const auto bytes = e->key.size() + e->value.size();
  const auto b = storage::stored_batch::decode(e->value, {record_class, e->key});
  const auto after = c.next();
  const auto limit = after ? storage::key_seq(after->key) - 1 : std::max(first, heads_.at(record_class));
  const bool counted = b && b->record_count > 0 && b->record_count <= limit - first + 1;
  return held_batch{{first, counted ? first + b->record_count - 1 : limit}, bytes};
}

bool batch_file::update::give_up(const std::string& record_class, seq_range held, std::uint32_t reason) {
  const auto table = file_.tables_.at(record_class);
  gap whole{held, reason, 0};
  {
    storage::cursor c(txn_, table);
    const auto e = c.at_or_before(storage::seq_key(held.first));
    if (const auto b = e ? storage::stored_batch::decode(e->value, {record_class, e->key}) : std::nullopt)
      whole.stored = b->stored_unix_nanos;
  }
  if (txn_.erase_seqs(table, held.first, held.first, 1, length_check(record_class)) == 0)
    return false;
  storage::cursor c(txn_, table);
  const auto join = [&](const std::optional<gap>& other) {
    if (!other || !fits(whole.seqs, other->seqs))
      return false;
    if (other->seqs.count() > whole.seqs.count())
      whole.reason = other->reason;
    whole.seqs = {std::min(whole.seqs.first, other->seqs.first), std::max(whole.seqs.last, other->seqs.last)};
    whole.stored = std::max(whole.stored, other->stored);
    return true;
  };
  if (const auto before = gap_of(record_class, c.at_or_before(storage::seq_key(held.first)));
      before && before->seqs.last + 1 == held.first)
    join(before);
  if (const auto after = gap_of(record_class, c.at_or_after(storage::seq_key(held.last + 1)));
      after && after->seqs.first == held.last + 1 && join(after))
    txn_.erase(table, storage::seq_key(held.last + 1));
  put_gap(record_class, whole.seqs, whole.reason, whole.stored);
  return true;
}

} // namespace holdfast::store
