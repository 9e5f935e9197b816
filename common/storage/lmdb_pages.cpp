// Long values lie on pages of their own, and LMDB believes what the header of these says: with another number of pages
// it frees, or with another flag writes to, what is not theirs. Here they are looked at first.

#include "common/storage/lmdb.hpp"

#include <fmt/format.h>
#include <lmdb.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sys/mman.h>

namespace holdfast::storage {

namespace {

constexpr std::size_t header_bytes = 16;  // of a page: u64 its number, 10 u16 flags, 12 u32 pages
constexpr std::size_t node_bytes = 8;
constexpr std::uint16_t overflow = 0x04;
constexpr std::uint16_t dirty = 0x10;

[[noreturn]] void damaged_pages(const char* what) {
  throw error(MDB_CORRUPTED, fmt::format("failed to {}: its pages are not what LMDB wrote", what));
}

bool beside_key(std::string_view key, std::string_view value, std::uint32_t page_bytes) {
  const auto most = ((page_bytes - header_bytes) / 2 & ~std::size_t{1}) - 2;  // LMDB's me_nodemax
  return node_bytes + key.size() + value.size() <= most;
}

template <class T> T at(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// LMDB tells the map's address only where it was asked for; the kernel tells it always.
template <class F> void each_map(const std::string& directory, F visit) {
  const auto file = (std::filesystem::canonical(directory) / "data.mdb").string();
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    if (line.ends_with(" " + file) && std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2)
      visit(reinterpret_cast<char*>(begin), end - begin);
  }
}

} // namespace

void environment::release_resident() {
  each_map(directory_, [](char* begin, std::size_t bytes) { ::madvise(begin, bytes, MADV_DONTNEED); });
}

// A process that looks into the file besides has another map of it: ours is the one with what LMDB gives us.
void environment::find_map() {
  const auto main = main_table();
  txn t(*this, txn::kind::read);
  cursor c(t, main);
  if (const auto any = c.first())
    each_map(directory_, [&](const char* begin, std::size_t bytes) {
      if (begin <= any->value.data() && any->value.data() < begin + bytes)
        map_ = {begin, bytes};
    });
}

// What this transaction has written is in memory, with another flag; elsewhere a page's number is that of its place.
bool txn::pages_known(std::string_view key, std::string_view value) {
  const auto page = page_bytes();
  if (beside_key(key, value, page))
    return true;
  const auto* header = value.data() - header_bytes;
  const auto flags = at<std::uint16_t>(header + 10);
  if (at<std::uint32_t>(header + 12) != (header_bytes - 1 + value.size()) / page + 1)
    return false;
  const auto map = env_.map();
  const auto place = reinterpret_cast<std::uintptr_t>(header) - reinterpret_cast<std::uintptr_t>(map.data());
  if (map.empty() || place >= map.size())
    return (flags & ~dirty) == overflow;
  return flags == overflow && place % page == 0 && at<std::uint64_t>(header) == place / page;
}

void txn::check_pages(table t) {
  cursor c(*this, t);
  for (auto e = c.first(); e; e = c.next())
    if (!pages_known(e->key, e->value))
      damaged_pages("read entry");
}

// A long value is deleted first: LMDB would leave a shorter one all the pages that the longer one had.
void txn::put(table t, std::string_view key, std::string_view value) {
  if (const auto old = get(t, key); old && !beside_key(key, *old, page_bytes())) {
    if (!pages_known(key, *old))
      damaged_pages("write entry");
    erase(t, key);
  }
  MDB_val k{key.size(), const_cast<char*>(key.data())};
  MDB_val v{value.size(), const_cast<char*>(value.data())};
  if (const int rc = ::mdb_put(txn_, t, &k, &v, 0); rc != MDB_SUCCESS)
    throw error(rc, fmt::format("failed to write entry: {}", ::mdb_strerror(rc)));
}

std::uint64_t txn::erase_seqs(table t, std::uint64_t first, std::uint64_t last, std::uint64_t most,
                              const entry_check& whole) {
  cursor c(*this, t);
  const auto page = page_bytes();
  std::uint64_t n = 0;
  for (auto e = c.at_or_after(seq_key(first)); n < most && e && key_seq(e->key) <= last; e = c.next()) {
    if (!pages_known(e->key, e->value))
      continue;
    if (whole && beside_key(e->key, e->value, page) && !whole(e->key, e->value))
      throw error(MDB_CORRUPTED, "failed to delete entry: it has not the length that was written");
    c.erase();
    ++n;
  }
  return n;
}

} // namespace holdfast::storage
