#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
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
///   database  48 bytes, 32 u64 entries, 40 u64 root page
class raw_file {
public:
  /// Throws error where it cannot be opened.
  explicit raw_file(const std::string& path);
  ~raw_file();
  raw_file(const raw_file&) = delete;
  raw_file& operator=(const raw_file&) = delete;

  struct database {
    std::uint64_t root = 0;
    std::uint64_t entries = 0;
  };
  /// By name, as the newer meta page has them. Where it is not sound or leads to none (newest() is false then), what is
  /// believed is the one that `worth` gives the most: of the other meta page's, and of pages that look like its leaf.
  using databases = std::map<std::string, database>;
  /// Looking for such pages ends when `stop` says so.
  databases tables(const std::function<std::uint64_t(const databases&)>& worth, const std::function<bool()>& stop);
  bool newest() const noexcept { return newest_; }

  /// False: enough.
  using visitor = std::function<bool(std::string_view key, std::string_view value)>;
  /// Every entry that can be read, in order. Returns whether these are all.
  bool walk(const database& d, const visitor& visit);
  /// What is free counts as walked. Returns whether all of that list could be read, and nothing in it had been walked.
  bool walk_free();
  /// Entries of leaves that no walk has come to: of a table whose branches are damaged. Or of all there are: a walk
  /// from a page that is another's by now has come to the wrong ones.
  void strays(const visitor& visit, bool all = false);
  /// Whether every page of keys is sound, as far as it comes before `stop` says so. Values are not read.
  bool sound(const std::function<bool()>& stop);

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
  std::optional<page> read(std::uint64_t number, bool leaf_only = false) const;
  std::optional<node> node_at(const page& p, std::size_t at) const;
  std::optional<std::string_view> value_of(const node& n);
  /// Order of keys: LMDB's own list of free pages has numbers in the machine's byte order.
  enum class order { bytes, numbers };
  static bool before(std::string_view a, std::string_view b, order by);
  bool walk(const database& d, const visitor& visit, order by);
  bool descend(std::uint64_t number, std::string_view from, std::optional<std::string_view> to, unsigned depth,
               const visitor& visit, order by, bool& go_on);
  databases named_in(const page& p) const;
  databases named_below(std::uint64_t root) const;
  databases of_meta_pages(const std::function<std::uint64_t(const databases&)>& worth, std::uint64_t& most);

  int fd_ = -1;
  std::uint64_t bytes_ = 0;
  std::uint64_t page_bytes_ = 4096;
  std::uint64_t pages_ = 0;
  std::vector<bool> seen_;
  std::optional<database> main_;  // the list of tables, and of free pages, of the meta page that was believed
  std::optional<database> free_;
  bool newest_ = false;
  bool values_ = true;            // are read
  std::string value_;  // that lies on pages of its own
};

} // namespace holdfast::storage
