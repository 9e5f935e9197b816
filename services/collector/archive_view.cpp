#include "services/collector/archive_view.hpp"

#include "common/storage/row.hpp"

#include <fmt/format.h>
#include <lmdb.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <sys/stat.h>

namespace holdfast::collector {

namespace {

constexpr std::size_t entry_bytes = 24;  // key and value: arrival number, origin id, first seq
constexpr auto no_end = std::uint64_t{1} << 63;

std::pair<std::uint64_t, std::uint64_t> identity(const std::string& directory) {
  struct stat s {};
  if (::stat((std::filesystem::path(directory) / "data.mdb").c_str(), &s) != 0)
    return {};
  return {s.st_dev, s.st_ino};
}

// Its checks are right, but it would abort: the frames between hold nothing in a reader's transaction.
void failed_assertion(MDB_env*, const char*) {
  throw storage::error(MDB_CORRUPTED, "failed to read entry: a page is not what LMDB expects");
}

// False: damage was met.
bool survives(const std::function<void()>& look) {
  try {
    look();
    return true;
  } catch (const storage::error& e) {
    if (!e.damaged())
      throw;
    return false;
  }
}

} // namespace

archive_view::archive_view(const std::string& directory)
    : directory_(directory), file_(identity(directory)), env_(directory, 0, storage::environment::mode::read_only) {
  ::mdb_env_set_assert(env_.native(), failed_assertion);
  auto need = [&](const char* name) {
    auto t = env_.open_table(name);
    if (!t)
      throw std::runtime_error(fmt::format("failed to read {}: not a collector's directory", directory));
    return *t;
  };
  origins_ = need("origins");
  batches_ = need("batches");
  arrivals_ = need("arrivals");
  index_ = need("index");
}

archive_view::origin_rows archive_view::origins() {
  origin_rows found;
  std::uint64_t entries = 0;
  const bool whole = survives([&] {
    storage::txn t(env_, storage::txn::kind::read);
    entries = t.entries(origins_);
    storage::cursor c(t, origins_);
    for (auto e = c.first(); e; e = c.next()) {
      v1::OriginRow row;
      if (storage::unseal("origins", e->key, e->value, row) && row.id() != 0)
        found.rows.push_back(std::move(row));
    }
  });
  found.complete = whole && found.rows.size() == entries;
  return found;
}

std::uint64_t archive_view::last_arrival() {
  for (auto table : {arrivals_, batches_}) {  // they have the same keys
    std::optional<std::uint64_t> number;
    survives([&] {
      storage::txn t(env_, storage::txn::kind::read);
      storage::cursor c(t, table);
      const auto e = c.last();
      if (!e)
        number = 0;
      else if (e->key.size() == 8)
        number = storage::key_seq(e->key);
    });
    if (number)
      return *number;
  }
  return no_end;
}

bool archive_view::replaced() const { return identity(directory_) != file_; }

std::optional<std::uint64_t> archive_view::number_in(const entry& e, std::string_view prefix) {
  if (!e || e->key.size() != prefix.size() + 8 || e->key.size() + e->value.size() != entry_bytes
      || !e->key.starts_with(prefix))
    return std::nullopt;
  return storage::key_seq(e->key.substr(prefix.size()));
}

std::optional<std::uint64_t> archive_view::readable_after(storage::table t, const std::string& prefix,
                                                          std::uint64_t from, std::uint64_t last) {
  auto bad = from;
  auto good = from;
  for (std::uint64_t step = 1; good == from; step *= 2) {
    if (bad >= last)
      return std::nullopt;
    const auto at = bad + std::min(step, last - bad);
    (readable(t, prefix, from, at) ? good : bad) = at;
  }
  while (good - bad > 1) {
    const auto at = bad + (good - bad) / 2;
    (readable(t, prefix, from, at) ? good : bad) = at;
  }
  return good;
}

// Something behind `from`: at `at` or next to it, on either side.
bool archive_view::readable(storage::table table, const std::string& prefix, std::uint64_t from, std::uint64_t at) {
  bool found = false;
  survives([&] {
    storage::txn t(env_, storage::txn::kind::read);
    storage::cursor c(t, table);
    const auto key = prefix + storage::seq_key(at);
    const auto after = number_in(c.at_or_after(key), prefix);
    found = after && *after >= at;
    if (found)
      return;
    const auto before = number_in(c.at_or_before(key), prefix);
    found = before && *before > from && *before <= at;
  });
  return found;
}

} // namespace holdfast::collector
