#include "common/storage/lmdb.hpp"

#include "common/storage/data_file.hpp"
#include "common/storage/reserve.hpp"

#include <fmt/format.h>
#include <lmdb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace holdfast::storage {

namespace {

[[noreturn]] void fail(int code, const char* what) {
  throw error(code, fmt::format("failed to {}: {}", what, ::mdb_strerror(code)));
}

void check(int code, const char* what) {
  if (code != MDB_SUCCESS)
    fail(code, what);
}

// mdb_val wants mutable memory but does not write to keys and values it is given.
MDB_val val(std::string_view s) { return {s.size(), const_cast<char*>(s.data())}; }
std::string_view view(const MDB_val& v) { return {static_cast<const char*>(v.mv_data), v.mv_size}; }

constexpr unsigned max_tables = 1024;  // each class has one, and keeps it when it is no longer configured
constexpr unsigned max_readers = 64;
constexpr std::uint64_t delete_room = 64 << 20;  // a file above its bound must still be emptied
constexpr std::uint64_t least_write = 1 << 20;   // LMDB writes less at a time

namespace fs = std::filesystem;

std::uint64_t size_of(const fs::path& file) {
  std::error_code absent;
  const auto bytes = fs::file_size(file, absent);
  return absent ? 0 : bytes;
}

} // namespace

bool error::full() const noexcept { return code_ == MDB_MAP_FULL || code_ == ENOSPC || code_ == EDQUOT; }

// Keys are numbers that are given once: one that is there already means that a table and its head disagree. Nor is a
// table's record with other flags than it was made with one that was written (of another program's, open_meta() knows).
bool error::damaged() const noexcept {
  return code_ == MDB_KEYEXIST || code_ == MDB_CORRUPTED || code_ == MDB_PAGE_NOTFOUND || code_ == MDB_INVALID
         || code_ == MDB_VERSION_MISMATCH || code_ == MDB_CURSOR_FULL || code_ == MDB_INCOMPATIBLE;
}

bool error::unusable() const noexcept { return damaged() || code_ == MDB_PANIC; }

environment::environment(const std::string& directory, std::uint64_t map_bytes, mode m)
    : read_only_(m == mode::read_only), directory_(directory) {
  const auto file = fs::path(directory) / "data.mdb";
  std::error_code unknown;
  const bool fresh = !read_only_ && !fs::exists(file, unknown);  // an empty one was a store once
  try {
    if (const auto damage = damage_of(directory); !damage.empty())
      throw error(MDB_CORRUPTED, fmt::format("failed to open {}: {}", directory, damage));
    if (!read_only_) {
      back_lock_file(directory);
      complete_data_file(directory);
    }
    open(map_bytes == 0 || fresh ? map_bytes : std::max(map_bytes, size_of(file) + delete_room));
  } catch (const error& e) {
    if (fresh && e.code() != EBUSY)  // then the lock file is another's
      remove_unfinished(directory);
    throw;
  }
}

void environment::open(std::uint64_t map_bytes) {
  check(::mdb_env_create(&env_), "create LMDB environment");
  unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
  if (read_only_)
    flags |= MDB_RDONLY;
  int rc = ::mdb_env_set_maxdbs(env_, max_tables);
  if (rc == 0)
    rc = ::mdb_env_set_maxreaders(env_, max_readers);
  if (rc == 0 && map_bytes > 0)
    rc = ::mdb_env_set_mapsize(env_, map_bytes);
  if (rc == 0)
    rc = ::mdb_env_open(env_, directory_.c_str(), flags, 0600);
  if (rc == 0 && !read_only_)
    rc = sync_names(directory_);
  if (rc != 0) {
    ::mdb_env_close(env_);
    if (rc == MDB_VERSION_MISMATCH || rc == MDB_INVALID)  // data.mdb's meta pages were seen to be sound
      throw error(EBUSY, fmt::format("failed to open {}: a process with another version of LMDB holds it",
                                     (fs::path(directory_) / "lock.mdb").string()));
    throw error(rc, fmt::format("failed to open {}: {}", directory_, ::mdb_strerror(rc)));
  }
}

environment::~environment() { ::mdb_env_close(env_); }

std::optional<table> environment::open_table(const std::string& name) {
  txn t(*this, read_only_ ? txn::kind::read : txn::kind::write);
  table db = 0;
  const int rc = ::mdb_dbi_open(t.native(), name.c_str(), read_only_ ? 0 : MDB_CREATE, &db);
  if (rc == MDB_NOTFOUND)
    return std::nullopt;
  check(rc, "open database");
  t.commit();
  if (map_.empty() && !read_only_)
    find_map();
  return db;
}

std::uint64_t environment::growth(std::uint64_t disk_bytes) const {
  MDB_envinfo info;
  MDB_stat s;
  check(::mdb_env_info(env_, &info), "read map size");
  check(::mdb_env_stat(env_, &s), "read statistics");
  const std::uint64_t used = (info.me_last_pgno + 1) * s.ms_psize;
  const auto file = std::max(size_of(fs::path(directory_) / "data.mdb"), used);  // a write that failed leaves a tail
  return info.me_mapsize > used ? std::min(info.me_mapsize - used, file - used + disk_bytes) : 0;
}

table environment::main_table() {
  txn t(*this, txn::kind::read);
  table main = 0;
  check(::mdb_dbi_open(t.native(), nullptr, 0, &main), "open main database");
  return main;
}

std::vector<std::string> environment::table_names() {
  std::vector<std::string> names;
  const auto main = main_table();
  txn t(*this, txn::kind::read);
  cursor c(t, main);
  for (auto e = c.first(); e; e = c.next())
    names.emplace_back(e->key);
  return names;
}

void environment::on_assertion(std::function<void(const std::string&)> tell) {
  assertion_ = std::move(tell);
  ::mdb_env_set_userctx(env_, &assertion_);
  ::mdb_env_set_assert(env_, [](MDB_env* env, const char* text) {
    (*static_cast<std::function<void(const std::string&)>*>(::mdb_env_get_userctx(env)))(text);
  });
}

int environment::clear_dead_readers() {
  int dead = 0;
  ::mdb_reader_check(env_, &dead);
  return dead;
}

void environment::adopt_map_size() { check(::mdb_env_set_mapsize(env_, 0), "adopt map size"); }

txn::txn(environment& env, kind k) : env_(env) {
  const unsigned flags = k == kind::read ? MDB_RDONLY : 0;
  int rc = ::mdb_txn_begin(env.native(), nullptr, flags, &txn_);
  if (rc == MDB_READERS_FULL && env.clear_dead_readers() > 0)
    rc = ::mdb_txn_begin(env.native(), nullptr, flags, &txn_);
  check(rc, "begin transaction");
}

txn::~txn() {
  if (txn_ != nullptr)
    ::mdb_txn_abort(txn_);
}

std::optional<std::string_view> txn::get(table t, std::string_view key) {
  auto k = val(key);
  MDB_val v;
  const int rc = ::mdb_get(txn_, t, &k, &v);
  if (rc == MDB_NOTFOUND)
    return std::nullopt;
  check(rc, "read entry");
  return view(v);
}

char* txn::append(table t, std::string_view key, std::size_t bytes) {
  auto k = val(key);
  MDB_val v{bytes, nullptr};
  check(::mdb_put(txn_, t, &k, &v, MDB_APPEND | MDB_RESERVE), "append entry");
  return static_cast<char*>(v.mv_data);
}

bool txn::erase(table t, std::string_view key) {
  auto k = val(key);
  const int rc = ::mdb_del(txn_, t, &k, nullptr);
  if (rc != MDB_NOTFOUND)
    check(rc, "delete entry");
  return rc == MDB_SUCCESS;
}

std::uint32_t txn::page_bytes() {
  MDB_stat s;
  check(::mdb_stat(txn_, 0, &s), "read statistics");
  return s.ms_psize;
}

// Database 0 is LMDB's list of free pages: each entry begins with how many it lists.
std::uint64_t txn::free_bytes() {
  std::uint64_t pages = 0;
  cursor c(*this, 0);
  for (auto e = c.first(); e; e = c.next()) {
    std::size_t n = 0;
    std::memcpy(&n, e->value.data(), std::min(sizeof n, e->value.size()));
    pages += n;
  }
  return pages * page_bytes();
}

std::uint64_t txn::used_bytes(table t) {
  MDB_stat s;
  check(::mdb_stat(txn_, t, &s), "read statistics");
  return s.ms_psize * (s.ms_branch_pages + s.ms_leaf_pages + s.ms_overflow_pages);
}

std::uint64_t txn::entries(table t) {
  MDB_stat s;
  check(::mdb_stat(txn_, t, &s), "read statistics");
  return s.ms_entries;
}

void txn::commit() {
  const char* directory = nullptr;
  ::mdb_env_get_path(::mdb_txn_env(txn_), &directory);
  int rc = ::mdb_txn_commit(txn_);
  txn_ = nullptr;  // LMDB has freed it, whatever the outcome
  if (rc == EIO && available_bytes(directory) < least_write)
    rc = ENOSPC;  // LMDB's word for a write that the disk took a part of
  check(rc, "commit");
}

cursor::cursor(txn& t, table db) { check(::mdb_cursor_open(t.native(), db, &cursor_), "open cursor"); }

cursor::~cursor() { ::mdb_cursor_close(cursor_); }

std::optional<cursor::entry> cursor::move(int op, std::string_view key) {
  auto k = val(key);
  MDB_val v;
  const int rc = ::mdb_cursor_get(cursor_, &k, &v, static_cast<MDB_cursor_op>(op));
  if (rc == MDB_NOTFOUND)
    return std::nullopt;
  check(rc, "move cursor");
  return entry{view(k), view(v)};
}

std::optional<cursor::entry> cursor::first() { return move(MDB_FIRST); }
std::optional<cursor::entry> cursor::last() { return move(MDB_LAST); }
std::optional<cursor::entry> cursor::next() { return move(MDB_NEXT); }
std::optional<cursor::entry> cursor::at_or_after(std::string_view key) { return move(MDB_SET_RANGE, key); }

std::optional<cursor::entry> cursor::at_or_before(std::string_view key) {
  auto found = at_or_after(key);
  if (found && found->key == key)
    return found;
  return found ? move(MDB_PREV) : last();
}

void cursor::erase() { check(::mdb_cursor_del(cursor_, 0), "delete entry"); }

} // namespace holdfast::storage
