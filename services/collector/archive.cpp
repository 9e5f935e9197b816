#include "services/collector/archive.hpp"

#include "common/core/time.hpp"
#include "common/storage/data_file.hpp"
#include "common/storage/opening.hpp"
#include "common/storage/row.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/storage.pb.h"

#include <fmt/format.h>
#include <lmdb.h>

#include <algorithm>
#include <filesystem>

namespace holdfast::collector {

namespace {

const std::vector<std::string_view> own_tables{"origins", "batches", "index"};  // together in no other program's

std::uint64_t map_bytes(config::bytes quota) { return quota.count + quota.count / 8 + (64ULL << 20); }

std::string origin_key(const origin& o) {
  return o.gateway + '\0' + storage::seq_key(o.epoch) + o.record_class;
}

std::unique_ptr<service::instance_lock> lock(const std::string& directory) {
  std::error_code cause;
  if (std::filesystem::create_directories(directory, cause); cause)
    throw std::runtime_error(fmt::format("failed to create archive {}: {}", directory, cause.message()));
  return std::make_unique<service::instance_lock>(directory, "holdfast-collector");
}

} // namespace

archive::archive(const config::collector& settings) : lock_(lock(settings.directory)), starts_(settings.directory) {
  try {
    storage::open_or_set_aside(settings.directory, starts_, {
      .open = [&] { open(settings); },
      .close = [&] { env_.reset(); },
      .put_aside = [&](const std::string& cause, bool) { set_aside_ = storage::set_aside(settings.directory, cause); },
      .make_room = [] { return false; },
    });
  } catch (...) {
    starts_.settled();  // it said why, and did not die of it
    throw;
  }
}

archive::~archive() {
  env_.reset();
  starts_.settled();
}

void archive::condemn(const storage::error& e) {
  if (e.damaged())
    starts_.condemn(e.what());
}

void archive::open(const config::collector& settings) {
  const auto& directory = settings.directory;
  env_ = std::make_unique<storage::environment>(directory, map_bytes(settings.quota),
                                                storage::environment::mode::read_write);
  env_->on_assertion([this](const std::string& text) { starts_.condemn("LMDB ends the process: " + text); });
  const auto names = env_->table_names();
  meta_ = storage::open_meta(*env_, "archive", own_tables);
  check_identity(directory);
  storage::check_tables(names, {"meta", "origins", "batches", "arrivals", "index"});
  origins_ = *env_->open_table("origins");
  batches_ = *env_->open_table("batches");
  arrivals_ = *env_->open_table("arrivals");
  index_ = *env_->open_table("index");
  env_->clear_dead_readers();
  known_.clear();
  storage::txn(*env_, storage::txn::kind::read).check_pages(origins_);
  inbox trial;  // what is damaged shows here, while the file can still be set aside
  load(trial);
}

void archive::check_identity(const std::string& directory) {
  storage::txn t(*env_, storage::txn::kind::write);
  const auto names = env_->table_names();
  if (auto row = t.get(meta_, "store")) {
    v1::StoreIdentity id;
    const bool sound = storage::unseal("meta", "store", *row, id);
    if (!sound && storage::has_tables(names, {"origins"}))
      throw storage::error(MDB_CORRUPTED, "failed to read the archive's identity: it is not what was written");
    if (!sound || id.kind() != archive_kind)
      throw storage::foreign_directory(fmt::format("failed to open archive {}: it is a {}", directory, id.kind()));
    if (id.oldest_reader() > archive_schema)
      throw storage::foreign_directory(fmt::format("failed to open archive {}: written by a newer version", directory));
    if (id.schema() < archive_schema) {  // what is added from now on is not for the version that wrote it
      id.set_schema(archive_schema);
      id.set_oldest_reader(archive_schema);
      t.put(meta_, "store", storage::seal("meta", "store", id));
      t.commit();
    }
    return;
  }
  if (storage::has_tables(names, own_tables))
    throw storage::error(MDB_CORRUPTED, "failed to read the archive's identity: it is not there");
  if (t.entries(meta_) > 0 || names.size() > 1)  // "meta" is a common name
    throw storage::foreign_directory(
      fmt::format("failed to open archive {}: an LMDB file of another program", directory));
  v1::StoreIdentity id;
  id.set_schema(archive_schema);
  id.set_oldest_reader(archive_schema);
  id.set_epoch(random_id());
  id.set_kind(archive_kind);
  id.set_created_unix_nanos(unix_nanos());
  t.put(meta_, "store", storage::seal("meta", "store", id));
  t.commit();
}

void archive::load(inbox& into) {
  storage::txn t(*env_, storage::txn::kind::read);
  storage::cursor c(t, origins_);
  for (auto e = c.first(); e; e = c.next()) {
    const auto row = storage::parse<v1::OriginRow>("origins", e->key, e->value);
    const origin o{row.gateway(), row.epoch(), row.record_class()};
    known_[o] = {row.id(), std::string(e->key)};
    last_origin_ = std::max(last_origin_, row.id());
    std::vector<seq_range> ranges;
    for (auto& r : row.ranges()) {
      if (r.first() <= (ranges.empty() ? 0 : ranges.back().last) || r.last() < r.first())
        throw storage::error(MDB_CORRUPTED, "failed to read origin of " + row.gateway() + ": no such numbers");
      ranges.push_back({r.first(), r.last()});
    }
    into.load(o, ranges);
  }
  storage::cursor b(t, batches_);
  if (auto last = b.last())
    last_arrival_ = storage::key_seq(last->key);
}

std::uint64_t archive::used_bytes() {
  storage::txn t(*env_, storage::txn::kind::read);
  return t.used_bytes(batches_) + t.used_bytes(index_) + t.used_bytes(origins_);
}

bool archive::same(storage::txn& t, std::uint64_t id, seq_range r, std::uint32_t crc) {
  const auto place = storage::seq_key(id) + storage::seq_key(r.first);
  const auto number = t.get(index_, place);
  const auto value = number ? t.get(batches_, *number) : std::nullopt;
  if (!value)
    return false;
  const auto stored = storage::stored_batch::decode(*value, {place, *number});
  return stored && stored->gap_reason == 0 && stored->record_count == r.count() && stored->crc == crc;
}

bool archive::same(const origin& o, seq_range r, std::uint32_t crc) {
  const auto known = known_.find(o);
  if (known == known_.end())
    return false;
  storage::txn t(*env_, storage::txn::kind::read);
  return same(t, known->second.id, r, crc);
}

bool archive::same_elsewhere(const origin& o, seq_range r, std::uint32_t crc) {
  storage::txn t(*env_, storage::txn::kind::read);
  for (auto k = known_.lower_bound({o.gateway, 0, {}}); k != known_.end() && k->first.gateway == o.gateway; ++k)
    if (k->first.epoch != o.epoch && k->first.record_class == o.record_class && same(t, k->second.id, r, crc))
      return true;
  return false;
}

void archive::append(const std::vector<arrival>& arrivals, const inbox& after) {
  storage::txn t(*env_, storage::txn::kind::write);
  std::map<origin, known_origin> touched;
  auto new_origin = last_origin_;
  auto number = last_arrival_;
  const auto now = unix_nanos();
  for (auto& a : arrivals) {
    auto at = touched.find(a.origin);
    if (at == touched.end()) {
      auto known = known_.find(a.origin);
      at = touched.emplace(a.origin, known != known_.end() ? known->second
                                                           : known_origin{++new_origin, origin_key(a.origin)}).first;
    }
    storage::stored_batch b;
    b.record_count = static_cast<std::uint32_t>(a.seqs.count());
    b.crc = a.crc;
    b.gap_reason = a.gap_reason;
    b.historical = a.historical;
    b.stored_unix_nanos = now;
    b.payload = a.payload;
    const auto place = storage::seq_key(at->second.id) + storage::seq_key(a.seqs.first);
    const auto key = storage::seq_key(++number);
    b.encode(t.append(batches_, key, b.encoded_bytes()), {place, key});
    t.put(arrivals_, key, place);
    t.put(index_, place, key);
  }
  for (auto& [o, known] : touched) {
    v1::OriginRow row;
    row.set_id(known.id);
    row.set_gateway(o.gateway);
    row.set_epoch(o.epoch);
    row.set_record_class(o.record_class);
    for (auto& r : after.ranges(o)) {
      auto& out = *row.add_ranges();
      out.set_first(r.first);
      out.set_last(r.last);
    }
    t.put(origins_, known.key, storage::seal("origins", known.key, row));
  }
  t.commit();
  known_.merge(touched);
  last_origin_ = new_origin;
  last_arrival_ = number;
}

} // namespace holdfast::collector
