#include "services/store/batch_file.hpp"

#include "common/core/time.hpp"
#include "common/storage/row.hpp"
#include "common/storage/stored_batch.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/record.pb.h"
#include "holdfast/v1/storage.pb.h"
#include "services/store/batch_check.hpp"
#include "services/store/damaged_batch.hpp"

#include <fmt/format.h>
#include <lmdb.h>

#include <algorithm>

namespace holdfast::store {

namespace {

std::string delivery_key(const std::string& destination, const std::string& record_class) {
  return destination + '\0' + record_class;
}

} // namespace

std::optional<std::vector<seq_range>> sound_ranges(const v1::DeliveryRow& row, std::uint64_t head) {
  std::vector<seq_range> out;
  for (auto& r : row.ranges()) {
    if (r.first() <= (out.empty() ? 0 : out.back().last) || r.last() < r.first() || r.last() > head)
      return std::nullopt;
    out.push_back({r.first(), r.last()});
  }
  return out;
}

void batch_file::condemn(const storage::error& e) {
  if (e.damaged())
    starts_.condemn(e.what());
}

batch_file::usage batch_file::used(storage::txn& t) const {
  usage out;
  for (auto& [name, table] : tables_)
    out.total += out.by_class[name] = t.used_bytes(table);
  for (auto table : retired_tables_)
    out.total += t.used_bytes(table);
  return out;
}

batch_file::usage batch_file::used() {
  storage::txn t(*env_, storage::txn::kind::read);
  return used(t);
}

std::uint64_t batch_file::room() {
  const auto reserved = reserve_.held() ? 0 : storage::reserve::bytes;
  const auto disk = storage::available_bytes(env_->directory());
  storage::txn t(*env_, storage::txn::kind::read);
  return t.free_bytes() + env_->growth(disk > reserved ? disk - reserved : 0);
}

void batch_file::load(producer_table& producers, delivery_state& delivery) {
  storage::txn t(*env_, storage::txn::kind::read);
  storage::cursor p(t, producers_);
  for (auto e = p.first(); e; e = p.next()) {
    const auto row = storage::parse<v1::ProducerRow>("producers", e->key, e->value);
    producers.load(std::string(e->key),
                   {.record_class = row.record_class(), .committed = row.last_seq(), .position = row.position()});
  }
  storage::cursor d(t, delivery_);
  for (auto e = d.first(); e; e = d.next()) {
    const auto row = storage::parse<v1::DeliveryRow>("delivery", e->key, e->value);
    const auto cut = std::min(e->key.find('\0'), e->key.size() - 1);
    const std::string record_class(e->key.substr(cut + 1));
    const auto head = heads_.find(record_class);
    const auto ranges = sound_ranges(row, head == heads_.end() ? UINT64_MAX : head->second);
    if (!ranges)
      throw storage::error(MDB_CORRUPTED,
                           fmt::format("failed to read delivery of class {}: no such numbers", record_class));
    delivery.load(std::string(e->key.substr(0, cut)), record_class, *ranges);
  }
}

namespace {

// No record hangs on these: one that is not what was written is left out.
template <class Row>
std::map<std::string, Row> rows(storage::environment& env, storage::table table, const char* name) {
  std::map<std::string, Row> out;
  storage::txn t(env, storage::txn::kind::read);
  storage::cursor c(t, table);
  for (auto e = c.first(); e; e = c.next()) {
    Row row;
    if (storage::unseal(name, e->key, e->value, row))
      out[std::string(e->key)] = std::move(row);
    else
      log::error("damaged row ignored table={} key={}", name, e->key);
  }
  return out;
}

} // namespace

std::map<std::string, v1::LinkRow> batch_file::links() { return rows<v1::LinkRow>(*env_, links_, "links"); }

std::map<std::string, v1::JournalRow> batch_file::journals() {
  return rows<v1::JournalRow>(*env_, journal_, "journal");
}

v1::ExpiryRow batch_file::expiry() {
  storage::txn t(*env_, storage::txn::kind::read);
  v1::ExpiryRow row;
  if (!storage::unseal("meta", "expiry", t.get(meta_, "expiry").value_or(""), row)) {
    log::error("damaged row ignored table=meta key=expiry: ages begin again");
    return {};
  }
  return row;
}

// How far a batch can reach: to the one behind it, or to the last seq that was ever given.
std::uint64_t batch_file::last_possible(storage::txn& t, storage::cursor& at, const std::string& record_class,
                                        std::uint64_t first) {
  if (auto after = at.next()) {
    if (storage::key_seq(after->key) <= first)
      throw storage::error(MDB_CORRUPTED, fmt::format("failed to read class {} behind seq {}: keys out of order",
                                                      record_class, first));
    return storage::key_seq(after->key) - 1;
  }
  auto row = t.get(classes_, record_class);
  return std::max(first, row ? storage::parse<v1::ClassRow>("classes", record_class, *row).last_seq() : first);
}

namespace {

// The entry whose batch has seq, or the first one behind it.
std::optional<storage::cursor::entry> find_from(storage::cursor& c, const std::string& record_class,
                                                std::uint64_t seq) {
  if (auto before = c.at_or_before(storage::seq_key(seq))) {
    const auto first = storage::key_seq(before->key);
    const auto b = storage::stored_batch::decode(before->value, {record_class, before->key});
    if (first == seq || (b && seq - first < content_of(*b).records))
      return before;
  }
  return c.at_or_after(storage::seq_key(seq));
}

} // namespace

std::optional<batch> batch_file::read_from(const std::string& record_class, std::uint64_t seq) try {
  storage::txn t(*env_, storage::txn::kind::read);
  storage::cursor c(t, tables_.at(record_class));
  auto e = find_from(c, record_class, seq);
  if (!e)
    return std::nullopt;
  batch b{.record_class = record_class};
  b.seqs.first = storage::key_seq(e->key);
  const auto stored = storage::stored_batch::decode(e->value, {record_class, e->key});
  const auto content = stored ? content_of(*stored) : batch_content{};
  const auto limit = content.counted ? UINT64_MAX : last_possible(t, c, record_class, b.seqs.first);
  const bool counted = content.records > 0 && content.records - 1 <= limit - b.seqs.first;
  // A header that fits tells the extent: the neighbour may have been delivered and removed, and leave a hole behind.
  b.seqs.last = counted ? b.seqs.first + content.records - 1 : limit;
  if (counted && content.whole) {
    b.crc = stored->crc;
    b.gap_reason = stored->payload.empty() ? stored->gap_reason : 0;
    b.payload = blob(std::string(stored->payload));
    return b;
  }
  keep_damaged(env_->directory(), record_class, b.seqs.first, e->value);
  b.gap_reason = v1::GAP_REASON_DAMAGED;
  b.unreadable = true;
  return b;
} catch (const storage::error& e) {
  condemn(e);
  throw;
}

std::optional<std::int64_t> batch_file::stored_at(const std::string& record_class, std::uint64_t seq) try {
  storage::txn t(*env_, storage::txn::kind::read);
  storage::cursor c(t, tables_.at(record_class));
  auto e = c.at_or_after(storage::seq_key(seq));
  auto b = e ? storage::stored_batch::decode(e->value, {record_class, e->key}) : std::nullopt;
  return b ? std::optional(b->stored_unix_nanos) : std::nullopt;
} catch (const storage::error& e) {
  condemn(e);
  throw;
}

// -- update -----------------------------------------------------------------------------------------------------------

batch_file::update::update(batch_file& f)
    : file_(f), txn_(*f.env_, storage::txn::kind::write), heads_(f.heads_), epoch_(f.epoch_), now_(unix_nanos()) {}

seq_range batch_file::update::append(const std::string& record_class, std::uint32_t count, std::uint32_t crc,
                                     std::string_view payload) {
  auto& head = heads_.at(record_class);
  const seq_range seqs{head + 1, head + count};
  storage::stored_batch b;
  b.record_count = count;
  b.crc = crc;
  b.stored_unix_nanos = now_;
  b.payload = payload;
  const auto key = storage::seq_key(seqs.first);
  b.encode(txn_.append(file_.tables_.at(record_class), key, b.encoded_bytes()), {record_class, key});
  head = seqs.last;
  return seqs;
}

void batch_file::update::producer(const std::string& name, const std::string& record_class, std::uint64_t last_seq,
                                  const std::string& position) {
  v1::ProducerRow row;
  row.set_last_seq(last_seq);
  row.set_position(position);
  row.set_record_class(record_class);
  txn_.put(file_.producers_, name, storage::seal("producers", name, row));
}

void batch_file::update::delivered(const std::string& destination, const std::string& record_class,
                                   const std::vector<seq_range>& all) {
  v1::DeliveryRow row;
  for (auto& r : all) {
    auto& out = *row.add_ranges();
    out.set_first(r.first);
    out.set_last(r.last);
  }
  const auto key = delivery_key(destination, record_class);
  txn_.put(file_.delivery_, key, storage::seal("delivery", key, row));
}

void batch_file::update::link(const std::string& name, const v1::LinkRow& row) {
  txn_.put(file_.links_, name, storage::seal("links", name, row));
}

void batch_file::update::journal(const std::string& destination, const v1::JournalRow& row) {
  txn_.put(file_.journal_, destination, storage::seal("journal", destination, row));
}

void batch_file::update::expiry(const v1::ExpiryRow& row) {
  txn_.put(file_.meta_, "expiry", storage::seal("meta", "expiry", row));
}

void batch_file::update::touch() {
  txn_.put(file_.meta_, "touched", storage::seq_key(static_cast<std::uint64_t>(now_)));
}

void batch_file::update::renew_epoch() {
  auto id = storage::parse<v1::StoreIdentity>("meta", "store", txn_.get(file_.meta_, "store").value_or(""));
  epoch_ = random_id();
  id.set_epoch(epoch_);
  txn_.put(file_.meta_, "store", storage::seal("meta", "store", id));
}

std::uint64_t batch_file::update::used_bytes(const std::string& record_class) {
  return txn_.used_bytes(file_.tables_.at(record_class));
}

void batch_file::update::commit() {
  for (auto& [name, head] : heads_) {
    if (head == file_.heads_.at(name))
      continue;
    v1::ClassRow row;
    row.set_last_seq(head);
    txn_.put(file_.classes_, name, storage::seal("classes", name, row));
  }
  txn_.commit();
  file_.heads_ = heads_;
  file_.epoch_ = epoch_;
}

} // namespace holdfast::store
