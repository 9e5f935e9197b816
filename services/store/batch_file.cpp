#include "services/store/batch_file.hpp"

#include "common/core/time.hpp"
#include "common/storage/data_file.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/record.pb.h"
#include "holdfast/v1/storage.pb.h"

#include <fmt/format.h>
#include <lmdb.h>

#include <algorithm>
#include <filesystem>

namespace holdfast::store {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view class_prefix = "class/";

// A checksum guards payloads only: a row that cannot be read says that the disk has changed the file.
template <class Message> Message parse(std::string_view bytes, const char* what) {
  Message m;
  if (!m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw storage::error(MDB_CORRUPTED, fmt::format("failed to read {}: not understood", what));
  return m;
}

std::unique_ptr<service::instance_lock> lock(const std::string& directory) {
  std::error_code cause;
  if (fs::create_directories(directory, cause); cause)
    throw std::runtime_error(fmt::format("failed to create store {}: {}", directory, cause.message()));
  return std::make_unique<service::instance_lock>(directory, "holdfast-store");
}

std::string delivery_key(const std::string& destination, const std::string& record_class) {
  return destination + '\0' + record_class;
}

} // namespace

std::uint64_t map_bytes(config::bytes quota) { return quota.count + quota.count / 8 + (64ULL << 20); }

batch_file::batch_file(const config::store& settings, const std::string& gateway,
                       const std::vector<config::record_class>& classes)
    : lock_(lock(settings.directory)), starts_(settings.directory), reserve_(settings.directory) {
  const setting s{settings, gateway, classes};
  try {
    open_or_set_aside(s);
  } catch (...) {
    starts_.settled();  // it said why, and did not die of it
    throw;
  }
  reserve_.take();
}

batch_file::~batch_file() {
  env_.reset();
  starts_.settled();
}

void batch_file::open_or_set_aside(const setting& s) {
  const auto& directory = s.store.directory;
  auto cause = starts_.condemned();
  if (cause.empty() && starts_.failed() >= storage::start_marker::suspicious)
    cause = storage::examine(directory);
  for (;;) {
    if (!cause.empty()) {
      if (fs::exists(fs::path(directory) / "data.mdb"))
        set_aside_ = storage::set_aside(directory, cause);
      starts_.file_replaced();
    }
    try {
      return open(s);
    } catch (const storage::error& e) {
      env_.reset();
      cause = e.damaged() ? e.what() : e.full() ? "" : storage::examine(directory);
      const bool again = cause.empty() ? e.full() && reserve_.give_up() : set_aside_.empty();
      if (!again)
        throw;
    } catch (const foreign_directory&) {  // or one of ours whose names are damaged
      env_.reset();
      cause = set_aside_.empty() ? storage::examine(directory) : "";
      if (cause.empty())
        throw;
    }
  }
}

void batch_file::open(const setting& s) {
  env_ = std::make_unique<storage::environment>(s.store.directory, map_bytes(s.store.quota),
                                                storage::environment::mode::read_write);
  const auto names = env_->table_names();
  const bool ours = std::find(names.begin(), names.end(), "meta") != names.end();
  if (!names.empty() && !ours)
    throw foreign_directory(fmt::format("failed to open store {}: an LMDB file of another program (database \"{}\")",
                                        s.store.directory, names.front()));
  meta_ = *env_->open_table("meta");
  check_identity(s.gateway);
  classes_ = *env_->open_table("classes");
  producers_ = *env_->open_table("producers");
  delivery_ = *env_->open_table("delivery");
  env_->clear_dead_readers();
  open_classes(s.classes);
  producer_table producers;
  delivery_state delivery;
  load(producers, delivery);  // a trial: what is damaged shows here, while the file can still be set aside
}

void batch_file::open_classes(const std::vector<config::record_class>& classes) {
  tables_.clear();
  retired_tables_.clear();
  retired_.clear();
  heads_.clear();
  for (auto& c : classes)
    tables_[c.name] = *env_->open_table(std::string(class_prefix) + c.name);
  for (auto& name : env_->table_names()) {
    if (!name.starts_with(class_prefix) || tables_.contains(name.substr(class_prefix.size())))
      continue;
    retired_tables_.push_back(*env_->open_table(name));
    storage::txn t(*env_, storage::txn::kind::read);
    if (const auto batches = t.entries(retired_tables_.back()); batches > 0)
      retired_[name.substr(class_prefix.size())] = batches;
  }
  storage::txn t(*env_, storage::txn::kind::read);
  for (auto& [name, table] : tables_) {
    auto row = t.get(classes_, name);
    heads_[name] = row ? parse<v1::ClassRow>(*row, "class row").last_seq() : 0;
    storage::cursor newest(t, table);
    newest.last();  // damage at either end shows now
    newest.first();
  }
}

void batch_file::condemn(const storage::error& e) {
  if (e.damaged())
    starts_.condemn(e.what());
}

std::uint64_t batch_file::used_bytes(storage::txn& t) const {
  std::uint64_t sum = 0;
  for (auto& [name, table] : tables_)
    sum += t.used_bytes(table);
  for (auto table : retired_tables_)
    sum += t.used_bytes(table);
  return sum;
}

std::uint64_t batch_file::used_bytes() {
  storage::txn t(*env_, storage::txn::kind::read);
  return used_bytes(t);
}

std::uint64_t batch_file::room() {
  const auto reserved = reserve_.held() ? 0 : storage::reserve::bytes;
  const auto disk = storage::available_bytes(env_->directory());
  storage::txn t(*env_, storage::txn::kind::read);
  return t.free_bytes() + env_->growth(disk > reserved ? disk - reserved : 0);
}

void batch_file::check_identity(const std::string& gateway) {
  storage::txn t(*env_, storage::txn::kind::write);
  const auto row = t.get(meta_, "store");
  if (!row && (t.entries(meta_) > 0 || env_->table_names().size() > 1))  // "meta" is a common name
    throw foreign_directory(fmt::format("failed to open store {}: an LMDB file of another program", env_->directory()));
  if (row) {
    const auto id = parse<v1::StoreIdentity>(*row, "store identity");
    if (id.kind() != store_kind)
      throw foreign_directory(fmt::format("failed to open store {}: it is a {}", env_->directory(), id.kind()));
    if (id.oldest_reader() > store_schema)
      throw foreign_directory(fmt::format("failed to open store {}: written by a newer version (schema {}, this is {})",
                                          env_->directory(), id.schema(), store_schema));
    epoch_ = id.epoch();
    return;
  }
  v1::StoreIdentity id;
  epoch_ = random_id();
  id.set_schema(store_schema);
  id.set_oldest_reader(store_schema);
  id.set_epoch(epoch_);
  id.set_gateway(gateway);
  id.set_kind(store_kind);
  id.set_created_unix_nanos(unix_nanos());
  t.put(meta_, "store", id.SerializeAsString());
  t.commit();
}

void batch_file::load(producer_table& producers, delivery_state& delivery) {
  storage::txn t(*env_, storage::txn::kind::read);
  storage::cursor p(t, producers_);
  for (auto e = p.first(); e; e = p.next()) {
    const auto row = parse<v1::ProducerRow>(e->value, "producer row");
    producers.load(std::string(e->key),
                   {.record_class = row.record_class(), .committed = row.last_seq(), .position = row.position()});
  }
  storage::cursor d(t, delivery_);
  for (auto e = d.first(); e; e = d.next()) {
    const auto cut = e->key.find('\0');
    if (cut == std::string_view::npos)
      continue;
    std::vector<seq_range> ranges;
    const auto row = parse<v1::DeliveryRow>(e->value, "delivery row");
    for (auto& r : row.ranges())
      ranges.push_back({r.first(), r.last()});
    delivery.load(std::string(e->key.substr(0, cut)), std::string(e->key.substr(cut + 1)), ranges);
  }
}

// How far a batch can reach: to the one behind it, or to the last seq that was ever given.
std::uint64_t batch_file::last_possible(storage::txn& t, storage::cursor& at, const std::string& record_class,
                                        std::uint64_t first) {
  if (auto after = at.next())
    return storage::key_seq(after->key) - 1;
  auto row = t.get(classes_, record_class);
  return std::max(first, row ? parse<v1::ClassRow>(*row, "class row").last_seq() : first);
}

std::optional<batch> batch_file::read_at_or_after(const std::string& record_class, std::uint64_t seq) try {
  storage::txn t(*env_, storage::txn::kind::read);
  storage::cursor c(t, tables_.at(record_class));
  auto e = c.at_or_after(storage::seq_key(seq));
  if (!e)
    return std::nullopt;
  batch b{.record_class = record_class};
  b.seqs.first = storage::key_seq(e->key);
  const auto stored = storage::stored_batch::decode(e->value);
  const auto limit = last_possible(t, c, record_class, b.seqs.first);
  const bool counted = stored && stored->record_count > 0 && stored->record_count <= limit - b.seqs.first + 1;
  // A header that fits tells the extent: the neighbour may have been delivered and removed, and leave a hole behind.
  b.seqs.last = counted ? b.seqs.first + stored->record_count - 1 : limit;
  if (counted && stored->intact()) {
    b.crc = stored->crc;
    b.gap_reason = stored->gap_reason;
    b.payload = blob(std::string(stored->payload));
    return b;
  }
  b.gap_reason = v1::GAP_REASON_DAMAGED;
  return b;
} catch (const storage::error& e) {
  condemn(e);
  throw;
}

std::optional<std::int64_t> batch_file::stored_at(const std::string& record_class, std::uint64_t seq) {
  storage::txn t(*env_, storage::txn::kind::read);
  storage::cursor c(t, tables_.at(record_class));
  auto e = c.at_or_after(storage::seq_key(seq));
  auto b = e ? storage::stored_batch::decode(e->value) : std::nullopt;
  return b ? std::optional(b->stored_unix_nanos) : std::nullopt;
}

// -- update -------------------------------------------------------------------------------------------------------------

batch_file::update::update(batch_file& f)
    : file_(f), txn_(*f.env_, storage::txn::kind::write), heads_(f.heads_), now_(unix_nanos()) {}

seq_range batch_file::update::append(const std::string& record_class, std::uint32_t count, std::uint32_t crc,
                                     std::string_view payload) {
  auto& head = heads_.at(record_class);
  const seq_range seqs{head + 1, head + count};
  storage::stored_batch b;
  b.record_count = count;
  b.crc = crc;
  b.stored_unix_nanos = now_;
  b.payload = payload;
  b.encode(txn_.append(file_.tables_.at(record_class), storage::seq_key(seqs.first), b.encoded_bytes()));
  head = seqs.last;
  return seqs;
}

void batch_file::update::producer(const std::string& name, const std::string& record_class, std::uint64_t last_seq,
                                  const std::string& position) {
  v1::ProducerRow row;
  row.set_last_seq(last_seq);
  row.set_position(position);
  row.set_record_class(record_class);
  txn_.put(file_.producers_, name, row.SerializeAsString());
}

void batch_file::update::delivered(const std::string& destination, const std::string& record_class,
                                   const std::vector<seq_range>& all) {
  v1::DeliveryRow row;
  for (auto& r : all) {
    auto& out = *row.add_ranges();
    out.set_first(r.first);
    out.set_last(r.last);
  }
  txn_.put(file_.delivery_, delivery_key(destination, record_class), row.SerializeAsString());
}

std::uint64_t batch_file::update::remove(const std::string& record_class, seq_range r, std::uint64_t most) {
  return txn_.erase_seqs(file_.tables_.at(record_class), r.first, r.last, most);
}

void batch_file::update::touch() { txn_.put(file_.meta_, "touched", storage::seq_key(static_cast<std::uint64_t>(now_))); }

std::uint64_t batch_file::update::used_bytes() { return file_.used_bytes(txn_); }

void batch_file::update::commit() {
  for (auto& [name, head] : heads_) {
    if (head == file_.heads_.at(name))
      continue;
    v1::ClassRow row;
    row.set_last_seq(head);
    txn_.put(file_.classes_, name, row.SerializeAsString());
  }
  txn_.commit();
  file_.heads_ = heads_;
}

} // namespace holdfast::store
