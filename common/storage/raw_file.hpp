#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace holdfast::storage {

/// Reads a file of LMDB's without LMDB, for what is damaged. No page is believed: whatever is in the file, reading
/// ends, and does not end the process; pages that the disk does not give count as damaged. The file is only read. The
/// layout (LMDB 0.9, 64 bit, in the machine's byte order), beside that of the meta pages (data_file.hpp):
///
///   page   0  u64 its number         10 u16 flags             12 u16 end of the list of nodes  (overflow: u32 pages)
///          14 u16 where nodes begin  16 u16 each: where a node is
///   node   0  u32 low  4 u16 high  6 u16 size of the key      8 key, then the value
///          leaf: low is the size of the value, high its flags; flag 1: the value is the number of the page where it
///          lies; flag 2: the value is a database. branch: low, high and the flags above are the number of a page
///   database  48 bytes, 4 u16 flags, 6 u16 depth, pages: 8 u64 branches, 16 u64 leaves, 24 u64 of long values,
///          32 u64 entries, 40 u64 root page
///   list of free pages  a database: key u64 transaction; value u64 how many, then their numbers, the highest first
class raw_file {
public:
  /// pread(), or what a test has in its place.
  using reader = std::function<ssize_t(int fd, void* to, std::size_t bytes, off_t offset)>;
  /// Throws error where it cannot be opened.
  explicit raw_file(const std::string& path, reader how = ::pread);
  ~raw_file();
  raw_file(const raw_file&) = delete;
  raw_file& operator=(const raw_file&) = delete;

  /// What a database is made of, as its record says and as a walk counts it: LMDB believes the record.
  struct size {
    std::uint64_t branches = 0;  // pages
    std::uint64_t leaves = 0;
    std::uint64_t values = 0;    // pages of long ones
    std::uint64_t entries = 0;
    unsigned depth = 0;
    bool operator==(const size&) const = default;
  };
  struct database {
    std::uint64_t root = 0;
    size says{};
    bool plain = true;  ///< its flags are those of a table of ours
  };
  /// True: no more. Asked before each page is read, for on a bad disk each may take seconds.
  using stopper = std::function<bool()>;
  /// By name, as the newer meta page has them. Where it is not sound or leads to none (newest() is false then), what is
  /// believed is the one that `worth` gives the most: of the other meta page's, and of pages that look like its leaf.
  using databases = std::map<std::string, database>;
  /// Such pages may be anywhere in the file: with `older_will_do` only where neither meta page leads to a list.
  databases tables(const std::function<std::uint64_t(const databases&)>& worth, const stopper& stop,
                   bool older_will_do = false);
  bool newest() const noexcept { return newest_; }

  using visitor = std::function<void(std::string_view key, std::string_view value)>;
  /// Every entry that can be read, in order. Returns whether these are all, and the record is right.
  bool walk(const database& d, const visitor& visit, const stopper& stop = {});
  /// Of the list of free pages. Unusable: not all of it could be read, or is in order and in the file. In use: it is in
  /// order, but some of it had been walked: what was walked is older than the list, or a number in it is not right.
  enum class free_list { sound, in_use, unusable };
  /// What is free counts as walked.
  free_list walk_free(const stopper& stop = {});
  /// After walk_free(): whether a page of that table's keys is in the list. A table of the last commit has none there.
  bool leads_to_free(const database& d, const stopper& stop = {}) const;
  /// Entries of leaves that no walk has come to: of a table whose branches are damaged. Or of all there are: a walk
  /// from a page that is another's by now has come to the wrong ones.
  void strays(const visitor& visit, bool all, const stopper& stop);
  /// Whether LMDB can be let into the file, as far as that is seen before `stop` says so: every page of keys, every
  /// record of a table, the headers of long rows, the list of free pages. Batches have checksums of their own, and are
  /// not read. A file that the disk does not give (read_error()) is not called damaged: a bus that is reset, or a mount
  /// that went, says nothing of what is written there.
  bool sound(const stopper& stop);
  /// errno of a read that failed, the last one's; 0: none did.
  int read_error() const noexcept { return failed_; }

  std::uint64_t pages() const noexcept { return pages_; }

private:
  struct node {
    std::string_view key;
    std::string_view value;
    std::uint64_t child;  // of a branch, or where the value lies
    std::uint32_t bytes;  // of the value
    std::uint16_t flags;
  };
  struct page {
    std::string bytes;
    std::uint16_t flags = 0;
    std::vector<node> nodes{};
    bool whole = true;  // all of its nodes are sound
  };
  /// How long values are looked at: read where that can be; read, and their pages must be right; not at all.
  enum class look { salvage, rows, keys };
  bool read_all(char* to, std::size_t bytes, std::uint64_t offset) const;
  std::optional<page> read(std::uint64_t number, bool leaf_only = false) const;
  std::optional<node> node_at(const page& p, std::size_t at) const;
  std::optional<std::string_view> value_of(const node& n);
  std::optional<std::string_view> long_value(const node& n, std::uint64_t needed);
  bool take_pages(std::uint64_t first, std::uint64_t count);
  /// Order of keys: LMDB's own list of free pages has numbers in the machine's byte order.
  enum class order { bytes, numbers };
  static bool before(std::string_view a, std::string_view b, order by);
  struct course {
    const visitor& visit;
    const stopper& stop;
    order by = order::bytes;
    bool stopped = false;
    bool goes_on() { return !(stopped = stopped || ended(stop)); }
  };
  static bool ended(const stopper& stop) { return stop && stop(); }
  bool walk(const database& d, course way);
  bool descend(std::uint64_t number, std::string_view from, std::optional<std::string_view> to, unsigned depth,
               course& way);
  static bool apart(std::vector<std::pair<std::size_t, std::size_t>> places);
  bool usable(std::string_view list);
  bool looks_sound(const stopper& stop);
  static bool ours(const databases& found);
  static database described(std::string_view record);
  databases named_in(const page& p, bool nothing_else) const;
  databases named_below(std::uint64_t root, const stopper& stop) const;
  databases of_meta_pages(const std::function<std::uint64_t(const databases&)>& worth, std::uint64_t& most,
                          const stopper& stop);

  reader how_;
  int fd_ = -1;
  mutable int failed_ = 0;       // errno
  std::uint64_t bytes_ = 0;
  std::uint64_t page_bytes_ = 4096;
  std::uint64_t pages_ = 0;
  std::uint64_t end_ = 0;        // behind the last page that is looked at
  std::uint64_t last_page_ = 0;  // in use, as the meta page that was believed says
  std::vector<bool> seen_;
  std::vector<bool> free_pages_;  // what is in the list of free pages, and its own
  size counted_;                 // by the walk that goes on
  std::optional<database> main_;  // the list of tables, and of free pages, of the meta page that was believed
  std::optional<database> free_;
  bool newest_ = false;
  look look_ = look::salvage;
  std::uint16_t kind_ = 0;        // of the entries of this walk: their flags, but for that of a long value
  std::string value_;             // that lies on pages of its own
};

} // namespace holdfast::storage
