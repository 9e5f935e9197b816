#include "services/store/inspect.hpp"

#include "common/storage/damage_exit.hpp"
#include "common/storage/lmdb.hpp"
#include "common/storage/row.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/storage.pb.h"
#include "services/store/batch_file.hpp"
#include "services/store/row_types.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <ostream>
#include <vector>

namespace holdfast::store {

namespace {

constexpr std::string_view class_prefix = "class/";

struct class_summary {
  std::uint64_t batches = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t gaps = 0;         // rows of records that gave way ...
  std::uint64_t gap_records = 0;  // ... and how many
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::vector<std::string> problems;
};

// `visit` sees every class database, also of classes that are no longer configured.
void each_class(storage::environment& env, const std::function<void(const std::string&, storage::table)>& visit) {
  for (auto& name : env.table_names())
    if (name.starts_with(class_prefix))
      if (auto t = env.open_table(name))
        visit(name.substr(class_prefix.size()), *t);
}

constexpr unsigned entries_at_a_time = 256;

struct walker {
  const std::string& record_class;
  class_summary found{};
  bool check_payloads = false;
  std::uint64_t next = 0;  // seq behind the batch before; 0: not known

  void take(std::uint64_t seq, const storage::cursor::entry& e) {
    auto& s = found;
    const auto b = storage::stored_batch::decode(e.value, {record_class, e.key});
    if (!b) {
      s.problems.push_back(fmt::format("batch at seq {}: header is not what was written there", seq));
      next = 0;
      return;
    }
    if (next > seq)
      s.problems.push_back(fmt::format("batch at seq {} overlaps the one before it", seq));
    if (check_payloads && !b->intact())
      s.problems.push_back(
        fmt::format("batch at seq {} to {}: checksum does not match", seq, seq + b->record_count - 1));
    s.first = s.batches + s.gaps == 0 ? seq : s.first;
    s.last = seq + b->record_count - 1;
    next = s.last + 1;
    ++(b->gap_reason != 0 ? s.gaps : s.batches);
    (b->gap_reason != 0 ? s.gap_records : s.records) += b->record_count;
  }
};

// A running store cannot use pages again that a reader may still see: each transaction is short.
class_summary walk(storage::environment& env, const std::string& record_class, storage::table table,
                   bool check_payloads) {
  walker w{.record_class = record_class, .check_payloads = check_payloads};
  std::uint64_t least = 0;
  for (bool more = true; more;) {
    storage::txn t(env, storage::txn::kind::read);
    storage::cursor c(t, table);
    w.found.bytes = t.used_bytes(table);
    auto e = c.at_or_after(storage::seq_key(least));
    for (unsigned n = 0; e && n < entries_at_a_time; e = c.next(), ++n) {
      const auto seq = storage::key_seq(e->key);
      if (seq < least || seq == UINT64_MAX) {  // damaged pages may lead round in circles
        w.found.problems.push_back(fmt::format("batch at seq {} out of order: reading ends here", seq));
        return w.found;
      }
      w.take(seq, *e);
      least = seq + 1;
    }
    more = e.has_value();
  }
  return w.found;
}

std::optional<v1::StoreIdentity> identity(storage::environment& env) {
  auto meta = env.open_table("meta");
  if (!meta)
    return std::nullopt;
  storage::txn t(env, storage::txn::kind::read);
  auto row = t.get(*meta, "store");
  v1::StoreIdentity id;
  if (!row || !storage::unseal("meta", "store", *row, id))
    return std::nullopt;
  return id;
}

nlohmann::ordered_json deliveries(storage::environment& env) {
  auto out = nlohmann::ordered_json::array();
  auto table = env.open_table("delivery");
  if (!table)
    return out;
  storage::txn t(env, storage::txn::kind::read);
  storage::cursor c(t, *table);
  for (auto e = c.first(); e; e = c.next()) {
    v1::DeliveryRow row;
    const auto cut = e->key.find('\0');
    if (cut == std::string_view::npos || !storage::unseal("delivery", e->key, e->value, row))
      continue;
    std::uint64_t records = 0;
    for (auto& r : row.ranges())
      records += r.last() - r.first() + 1;
    out.push_back({{"destination", std::string(e->key.substr(0, cut))},
                   {"class", std::string(e->key.substr(cut + 1))},
                   {"confirmed_records", records},
                   {"ranges", row.ranges_size()}});
  }
  return out;
}

void print_human(const nlohmann::ordered_json& j, std::ostream& out) {
  out << fmt::format("store {}  gateway {}  epoch {}\n", j["directory"].get<std::string>(),
                     j["gateway"].get<std::string>(), j["epoch"].get<std::string>());
  out << fmt::format("{:<14}{:>12}{:>14}{:>14}{:>14}{:>14}{:>14}\n", "class", "batches", "records", "gap records",
                     "first seq", "last seq", "bytes");
  for (auto& c : j["classes"])
    out << fmt::format("{:<14}{:>12}{:>14}{:>14}{:>14}{:>14}{:>14}\n", c["class"].get<std::string>(),
                       c["batches"].get<std::uint64_t>(), c["records"].get<std::uint64_t>(),
                       c["gap_records"].get<std::uint64_t>(), c["first_seq"].get<std::uint64_t>(),
                       c["last_seq"].get<std::uint64_t>(), c["bytes"].get<std::uint64_t>());
  for (auto& d : j["delivery"])
    out << fmt::format("destination {} class {}: {} records confirmed in {} ranges\n",
                       d["destination"].get<std::string>(), d["class"].get<std::string>(),
                       d["confirmed_records"].get<std::uint64_t>(), d["ranges"].get<std::uint64_t>());
}

// Where the list of tables is damaged, a class may be gone from it with all that is its own.
std::vector<std::string> classes_lost(storage::environment& env) {
  const auto rows = env.open_table("classes");
  if (!rows)
    return {"the list of classes cannot be found"};
  std::vector<std::string> lost;
  const auto names = env.table_names();
  storage::txn t(env, storage::txn::kind::read);
  storage::cursor c(t, *rows);
  std::string before;
  for (auto e = c.first(); e && e->key > before; e = c.next()) {
    before = e->key;
    if (std::find(names.begin(), names.end(), std::string(class_prefix) + before) == names.end())
      lost.push_back(fmt::format("{}: its batches cannot be found", before));
  }
  return lost;
}

std::vector<std::string> rows_damaged(storage::environment& env) {
  std::vector<std::string> damaged;
  for (const std::string name : row_tables)
    if (const auto table = env.open_table(name)) {
      storage::txn t(env, storage::txn::kind::read);
      storage::cursor c(t, *table);
      std::string before;
      for (auto e = c.first(); e && e->key > before; e = c.next()) {
        before = e->key;
        if (const auto row = row_of(name, e->key); row && !storage::unseal(name, e->key, e->value, *row))
          damaged.push_back(fmt::format("{}: the row of \"{}\" is not what was written", name, e->key));
      }
    }
  return damaged;
}

int guarded(const std::string& directory, std::ostream& out, const std::function<int(storage::environment&)>& work) {
  const storage::damage_exit guard(directory);
  try {
    storage::environment env(directory, 0, storage::environment::mode::read_only);
    return work(env);
  } catch (const std::exception& e) {
    out << e.what() << '\n';
    return 2;
  }
}

} // namespace

int stat(const std::string& directory, bool json, std::ostream& out) {
  return guarded(directory, out, [&](storage::environment& env) {
    const auto id = identity(env);
    if (!id || id->kind() != store_kind) {
      out << fmt::format("failed to read {}: not a holdfast store\n", directory);
      return 2;
    }
    nlohmann::ordered_json j{{"directory", directory},
                             {"gateway", id->gateway()},
                             {"epoch", fmt::format("{:016x}", id->epoch())},
                             {"schema", id->schema()},
                             {"classes", nlohmann::ordered_json::array()}};
    each_class(env, [&](const std::string& name, storage::table t) {
      const auto s = walk(env, name, t, false);
      j["classes"].push_back({{"class", name}, {"batches", s.batches}, {"records", s.records}, {"first_seq", s.first},
                              {"last_seq", s.last}, {"bytes", s.bytes}, {"gaps", s.gaps},
                              {"gap_records", s.gap_records}});
    });
    j["delivery"] = deliveries(env);
    if (json)
      out << j.dump() << '\n';
    else
      print_human(j, out);
    return 0;
  });
}

int verify(const std::string& directory, std::ostream& out) {
  return guarded(directory, out, [&](storage::environment& env) {
    std::size_t problems = 0;
    for (auto& found : {classes_lost(env), rows_damaged(env)})
      for (auto& p : found) {
        out << p << '\n';
        ++problems;
      }
    each_class(env, [&](const std::string& name, storage::table t) {
      const auto s = walk(env, name, t, true);
      for (auto& p : s.problems)
        out << name << ": " << p << '\n';
      problems += s.problems.size();
      out << fmt::format("{}: {} batches, {} records, {}{} problems\n", name, s.batches, s.records,
                         s.gaps > 0 ? fmt::format("{} records in {} gaps, ", s.gap_records, s.gaps) : "",
                         s.problems.size());
    });
    return problems == 0 ? 0 : 1;
  });
}

} // namespace holdfast::store
