#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

struct MDB_env;
struct MDB_txn;
struct MDB_cursor;

namespace holdfast::storage {

/// An LMDB call failed. `code` is LMDB's (MDB_MAP_FULL, ...) or an errno.
class error : public std::runtime_error {
public:
  error(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
  int code() const noexcept { return code_; }
  bool full() const noexcept;     ///< the map or the disk has no room
  bool damaged() const noexcept;  ///< the file is not what LMDB wrote
  bool unusable() const noexcept; ///< damaged, or a write failed in a way that only opening the file again mends

private:
  int code_;
};

using table = unsigned;  // an MDB_dbi; open for the life of the environment

class txn;

/// One LMDB file in a directory of its own: default durability (a commit is on disk when it returns), no writemap,
/// readers not tied to threads. One environment per file and process.
class environment {
public:
  enum class mode { read_write, read_only };
  /// `map_bytes` bounds the file, but a file that is there has always room to be emptied. A file that cannot be what
  /// LMDB wrote is not opened (data_file.hpp). Throws error; then nothing new is left in the directory.
  environment(const std::string& directory, std::uint64_t map_bytes, mode m);
  ~environment();
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;

  /// Opens a named database, creating it where the mode allows; nullopt: it is not there.
  std::optional<table> open_table(const std::string& name);
  std::vector<std::string> table_names();
  table main_table();  ///< of the names
  /// Bytes that can be written behind the pages in use: within the bound, and as the disk has so many.
  std::uint64_t growth(std::uint64_t disk_bytes) const;
  /// Clears reader slots of dead processes; returns how many.
  int clear_dead_readers();
  /// Unmaps the file's pages from this process until they are touched again: draining a long backlog must not look
  /// like, or in a container count as, memory in use. Any time, also beside open transactions.
  void release_resident();
  /// Takes over a size that another process gave the map.
  void adopt_map_size();
  /// Called when LMDB meets what cannot be, in any thread; it ends the process then.
  void on_assertion(std::function<void(const std::string&)> tell);
  MDB_env* native() const noexcept { return env_; }
  /// Where the file is mapped; empty while that is not known.
  std::string_view map() const noexcept { return map_; }
  bool read_only() const noexcept { return read_only_; }
  const std::string& directory() const noexcept { return directory_; }

private:
  void open(std::uint64_t map_bytes);
  void find_map();

  MDB_env* env_ = nullptr;
  bool read_only_;
  std::string directory_;
  std::string_view map_;
  std::function<void(const std::string&)> assertion_;
};

/// A transaction; aborted unless committed. Belongs to one handler: never kept across messages. Values point into the
/// map and are valid until the end of the transaction.
class txn {
public:
  enum class kind { read, write };
  txn(environment& env, kind k);
  ~txn();
  txn(const txn&) = delete;
  txn& operator=(const txn&) = delete;

  std::optional<std::string_view> get(table t, std::string_view key);
  /// Throws error also where a value is there that lies on damaged pages: LMDB would free those of others.
  void put(table t, std::string_view key, std::string_view value);
  /// Appends a key that sorts after all others and returns where to write its value.
  char* append(table t, std::string_view key, std::size_t bytes);
  bool erase(table t, std::string_view key);
  /// Deletes the entries with seq keys (seq_key) in [first, last], the first `most` of them; returns how many. Entries
  /// whose pages are damaged stay: deleting them would harm others. Throws error where one beside its key is not
  /// `whole`, has another length than was written: LMDB would move its neighbours by that, and beyond their page.
  using entry_check = std::function<bool(std::string_view key, std::string_view value)>;
  std::uint64_t erase_seqs(table t, std::uint64_t first, std::uint64_t last, std::uint64_t most = UINT64_MAX,
                           const entry_check& whole = {});
  /// Throws error where a value lies on damaged pages.
  void check_pages(table t);
  /// Pages of the file that hold nothing now. In a read transaction.
  std::uint64_t free_bytes();
  /// Pages of the database times the page size: what it takes on disk.
  std::uint64_t used_bytes(table t);
  std::uint64_t entries(table t);
  void commit();
  MDB_txn* native() const noexcept { return txn_; }

private:
  std::uint32_t page_bytes();
  bool pages_known(std::string_view key, std::string_view value);
  environment& env_;
  MDB_txn* txn_ = nullptr;
};

/// A position in a database, within a transaction.
class cursor {
public:
  struct entry {
    std::string_view key;
    std::string_view value;
  };
  cursor(txn& t, table db);
  ~cursor();
  cursor(const cursor&) = delete;
  cursor& operator=(const cursor&) = delete;

  std::optional<entry> first();
  std::optional<entry> last();
  std::optional<entry> next();
  /// First entry whose key is not below.
  std::optional<entry> at_or_after(std::string_view key);
  /// Last entry whose key is not above.
  std::optional<entry> at_or_before(std::string_view key);
  void erase();

private:
  std::optional<entry> move(int op, std::string_view key = {});
  MDB_cursor* cursor_ = nullptr;
};

/// Eight bytes, big-endian: sorts as the number does, and can be read on another machine.
std::string seq_key(std::uint64_t seq);
std::uint64_t key_seq(std::string_view key);

} // namespace holdfast::storage
