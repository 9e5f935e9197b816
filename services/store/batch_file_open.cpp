// The store's file, opening it: what is damaged is set aside before anything depends on it.

#include "services/store/batch_file.hpp"

#include "common/core/time.hpp"
#include "common/storage/data_file.hpp"
#include "common/storage/opening.hpp"
#include "common/storage/row.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/storage.pb.h"
#include "services/store/salvage.hpp"
#include "services/store/table_names.hpp"

#include <fmt/format.h>
#include <lmdb.h>

#include <chrono>
#include <filesystem>
#include <set>

namespace holdfast::store {

namespace fs = std::filesystem;

namespace {

const std::vector<std::string_view> own_tables{"classes", "producers", "delivery"};  // together in no other program's
constexpr auto salvage_time = std::chrono::seconds(4);  // a start takes 10 s at most

std::unique_ptr<service::instance_lock> lock(const std::string& directory) {
  std::error_code cause;
  if (fs::create_directories(directory, cause); cause)
    throw std::runtime_error(fmt::format("failed to create store {}: {}", directory, cause.message()));
  return std::make_unique<service::instance_lock>(directory, "holdfast-store");
}

} // namespace

std::uint64_t map_bytes(config::bytes quota) { return quota.count + quota.count / 8 + (64ULL << 20); }

batch_file::batch_file(const config::store& settings, const std::string& gateway,
                       const std::vector<config::record_class>& classes,
                       const std::vector<config::destination>& destinations)
    : lock_(lock(settings.directory)), starts_(settings.directory), reserve_(settings.directory) {
  const setting s{settings, gateway, classes, destinations};
  try {
    storage::open_or_set_aside(settings.directory, starts_, {
      .open = [&] { open(s); },
      .close = [&] { env_.reset(); },
      .put_aside = [&](const std::string& cause, bool again) { put_aside(s, cause, again); },
      .make_room = [&] { return reserve_.give_up(); },
    });
  } catch (...) {
    starts_.settled();  // it said why, and did not die of it
    throw;
  }
  salvage_tries(settings.directory).forget();
  reserve_.take();
}

batch_file::~batch_file() {
  env_.reset();
  starts_.settled();
}

// What can be read goes on in the new file, unless that takes too long or there is no room: the service must start. A
// file that was made so and cannot be opened is not made again.
void batch_file::put_aside(const setting& s, const std::string& cause, bool again) {
  const auto& directory = s.store.directory;
  const auto until = std::chrono::steady_clock::now() + salvage_time;
  bool kept = false;
  if (!again) {
    salvage_options o{.file = (fs::path(directory) / "data.mdb").string(),
                      .into = storage::salvage_directory(directory),
                      .gateway = s.gateway,
                      .stop = [until] { return std::chrono::steady_clock::now() > until; },
                      .rows_only = !salvage_tries(directory).begin()};
    for (auto& d : s.destinations)
      for (auto& c : s.classes)
        if (d.classes.empty() || std::find(d.classes.begin(), d.classes.end(), c.name) != d.classes.end())
          o.wanted[c.name].insert(d.name);
    const auto found = take_over(o);
    kept = found.kept;
    salvaged_ = found.text;
  }
  set_aside_ = storage::set_aside(directory, cause, kept);
  log::error("salvaged file={} {}", set_aside_, salvaged_);
}

void batch_file::open(const setting& s) {
  env_ = std::make_unique<storage::environment>(s.store.directory, map_bytes(s.store.quota),
                                                storage::environment::mode::read_write);
  env_->on_assertion([this](const std::string& text) { starts_.condemn("LMDB ends the process: " + text); });
  open_meta(s.gateway);
  classes_ = *env_->open_table("classes");
  producers_ = *env_->open_table("producers");
  delivery_ = *env_->open_table("delivery");
  links_ = *env_->open_table("links");
  journal_ = *env_->open_table("journal");
  env_->clear_dead_readers();
  for (auto rows : {meta_, classes_, producers_, delivery_, links_, journal_})
    storage::txn(*env_, storage::txn::kind::read).check_pages(rows);
  check_classes();
  open_classes(s.classes);
  producer_table producers;
  delivery_state delivery;
  links();
  journals();
  expiry();
  load(producers, delivery);  // a trial: what is damaged shows here, while the file can still be set aside
}

// Whose file it is, before anything is written to it.
void batch_file::open_meta(const std::string& gateway) {
  const auto names = env_->table_names();
  meta_ = storage::open_meta(*env_, "store", own_tables);
  check_identity(gateway);
  storage::check_tables(names, {"meta", "classes", "producers", "delivery"});
}

// Of a class that has given numbers the table is there, whether it is configured or not.
void batch_file::check_classes() {
  const auto names = env_->table_names();
  storage::txn t(*env_, storage::txn::kind::read);
  storage::cursor c(t, classes_);
  for (auto e = c.first(); e; e = c.next()) {
    const auto head = storage::parse<v1::ClassRow>("classes", e->key, e->value).last_seq();
    if (head > 0 && !storage::has_tables(names, {std::string(class_prefix) + std::string(e->key)}))
      throw storage::error(MDB_CORRUPTED, fmt::format("failed to find the table of class {}: it had seq {}", e->key,
                                                      head));
  }
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
    heads_[name] = row ? storage::parse<v1::ClassRow>("classes", name, *row).last_seq() : 0;
    storage::cursor newest(t, table);
    const auto last = newest.last();  // damage at either end shows now
    newest.first();
    if (last && storage::key_seq(last->key) > heads_[name])
      throw storage::error(MDB_CORRUPTED, fmt::format("failed to open class {}: it has seq {} and its head is {}", name,
                                                      storage::key_seq(last->key), heads_[name]));
  }
}

void batch_file::check_identity(const std::string& gateway) {
  storage::txn t(*env_, storage::txn::kind::write);
  const auto row = t.get(meta_, "store");
  const auto names = env_->table_names();
  if (!row && storage::has_tables(names, own_tables))
    throw storage::error(MDB_CORRUPTED, "failed to read the store's identity: it is not there");
  if (!row && (t.entries(meta_) > 0 || names.size() > 1))  // "meta" is a common name
    throw storage::foreign_directory(
      fmt::format("failed to open store {}: an LMDB file of another program", env_->directory()));
  if (row) {
    auto id = storage::parse<v1::StoreIdentity>("meta", "store", *row);
    if (id.kind() != store_kind)
      throw storage::foreign_directory(
        fmt::format("failed to open store {}: it is a {}", env_->directory(), id.kind()));
    if (id.oldest_reader() > store_schema)
      throw storage::foreign_directory(
        fmt::format("failed to open store {}: written by a newer version (schema {}, this is {})", env_->directory(),
                    id.schema(), store_schema));
    epoch_ = id.epoch();
    if (id.schema() < store_schema) {  // what is added from now on is not for the version that wrote it
      id.set_schema(store_schema);
      id.set_oldest_reader(store_schema);
      t.put(meta_, "store", storage::seal("meta", "store", id));
      t.commit();
    }
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
  t.put(meta_, "store", storage::seal("meta", "store", id));
  t.commit();
}

} // namespace holdfast::store
