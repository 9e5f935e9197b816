#include "common/storage/data_file.hpp"

#include "common/core/time.hpp"
#include "common/storage/lmdb.hpp"
#include "common/telemetry/log.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::storage {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t magic = 0xBEEFC0DE;
constexpr std::uint32_t version = 1;
constexpr std::uint16_t meta_flag = 0x08;
constexpr std::size_t meta_bytes = 152;
constexpr off_t lock_bytes = 8192;  // at least what LMDB makes of it for 64 readers
constexpr int most_meta_reads = 8;
constexpr std::uint64_t most_unwritten_pages = 16;  // seen: one; what is missing in earnest is set aside when it is met

struct meta {
  std::uint32_t page_bytes;
  std::uint64_t last_page;
  std::uint64_t transaction;
};

struct descriptor {
  int fd;
  descriptor(const std::string& path, int flags) : fd(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~descriptor() {
    if (fd >= 0)
      ::close(fd);
  }
};

template <class T> T at(const std::array<char, meta_bytes>& bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::optional<meta> read_meta(int fd, std::uint64_t offset) {
  std::array<char, meta_bytes> b;
  if (::pread(fd, b.data(), b.size(), static_cast<off_t>(offset)) != static_cast<ssize_t>(b.size()))
    return std::nullopt;
  if ((at<std::uint16_t>(b, 10) & meta_flag) == 0 || at<std::uint32_t>(b, 16) != magic
      || at<std::uint32_t>(b, 20) != version)
    return std::nullopt;
  const meta m{at<std::uint32_t>(b, 40), at<std::uint64_t>(b, 136), at<std::uint64_t>(b, 144)};
  if (!std::has_single_bit(m.page_bytes) || m.page_bytes < 512 || m.page_bytes > 32768 || m.last_page >> 48 != 0)
    return std::nullopt;
  return m;
}

struct facts {
  std::uint64_t bytes = 0;
  std::uint64_t promised = 0;  // by the meta page that counts; 0: there is no file
  std::uint32_t page_bytes = 0;
  std::string damage{};
  file_state state{};
};

file_state state_of(const struct stat& s, std::uint64_t transaction) {
  return {s.st_ino, transaction, s.st_ctim.tv_sec * 1'000'000'000 + s.st_ctim.tv_nsec};
}

// LMDB writes them in turn, one for each transaction. Beside a store that runs they may change between two reads.
bool in_turn(const meta& even, const meta& odd) {
  return (even.transaction == 0 && odd.transaction == 0)
         || (even.transaction % 2 == 0 && odd.transaction % 2 == 1
             && (even.transaction + 1 == odd.transaction || odd.transaction + 1 == even.transaction));
}

// The meta pages first: a store that runs beside us writes pages before it promises them.
facts look(const std::string& path) {
  const descriptor file(path, O_RDONLY);
  struct stat status {};
  if (file.fd < 0 || ::fstat(file.fd, &status) != 0)
    return {};  // what hinders opening it, LMDB says
  std::optional<meta> first, second;
  for (int reads = 0; reads < most_meta_reads && !(first && second && in_turn(*first, *second)); ++reads) {
    first = read_meta(file.fd, 0);
    second = first ? read_meta(file.fd, first->page_bytes) : std::nullopt;
  }
  if (!first || !second)
    return {.damage = fmt::format("{} bytes without LMDB's meta pages", status.st_size), .state = state_of(status, 0)};
  const bool in_order = second->transaction > first->transaction;
  const auto& newer = in_order ? *second : *first;
  const auto& older = in_order ? *first : *second;
  if (::fstat(file.fd, &status) != 0)
    return {};
  facts f{static_cast<std::uint64_t>(status.st_size), (newer.last_page + 1) * newer.page_bytes, newer.page_bytes,
          {}, state_of(status, newer.transaction)};
  if (!in_turn(*first, *second))
    f.damage = fmt::format("meta pages of transactions {} and {}", first->transaction, second->transaction);
  else if (newer.last_page < older.last_page)  // LMDB never gives pages back to the file system
    f.damage = fmt::format("meta pages that end with pages {} and {}", older.last_page, newer.last_page);
  else if (f.bytes + most_unwritten_pages * f.page_bytes < f.promised)
    f.damage = fmt::format("{} bytes where its meta page promises {}", f.bytes, f.promised);
  return f;
}

std::string data_path(const std::string& directory) { return (fs::path(directory) / "data.mdb").string(); }

} // namespace

std::string damage_of(const std::string& directory) { return look(data_path(directory)).damage; }

file_state state_of(const std::string& directory) { return look(data_path(directory)).state; }

bool file_state::lives_on_in(const file_state& now) const noexcept {
  return inode != 0 && inode == now.inode
         && (now.transaction > transaction || (now.transaction == transaction && now.changed_nanos == changed_nanos));
}

void complete_data_file(const std::string& directory) {
  const auto path = data_path(directory);
  const auto f = look(path);
  if (!f.damage.empty() || f.bytes >= f.promised)
    return;
  if (::truncate(path.c_str(), static_cast<off_t>(f.promised)) != 0)
    throw error(errno, fmt::format("failed to complete {}: {}", path, std::strerror(errno)));
}

int sync_names(const std::string& directory) {
  for (auto& path : {directory, (fs::path(directory) / "..").string()}) {
    const descriptor d(path, O_RDONLY | O_DIRECTORY);
    if (d.fd >= 0 && ::fsync(d.fd) != 0 && errno != EINVAL)  // EINVAL: this file system knows no such thing
      return errno;
  }
  return 0;
}

void back_lock_file(const std::string& directory) {
  const auto path = (fs::path(directory) / "lock.mdb").string();
  const descriptor file(path, O_RDWR | O_CREAT);
  if (file.fd < 0)
    return;  // LMDB says why
  const int cause = ::fallocate(file.fd, FALLOC_FL_KEEP_SIZE, 0, lock_bytes) == 0 ? 0 : errno;
  if (cause == ENOSPC || cause == EDQUOT)
    throw error(cause, fmt::format("failed to create {}: {}", path, std::strerror(cause)));
}

void remove_unfinished(const std::string& directory) {
  std::error_code ignored;
  fs::remove(fs::path(directory) / "data.mdb", ignored);
  fs::remove(fs::path(directory) / "lock.mdb", ignored);
}

std::string salvage_directory(const std::string& directory) { return (fs::path(directory) / "salvage").string(); }

namespace {
std::string whole_copy(const std::string& directory) { return data_path(directory) + ".salvaged"; }
} // namespace

void finish_salvage(const std::string& directory) {
  fs::remove_all(salvage_directory(directory));
  const auto copy = whole_copy(directory);
  if (!fs::exists(copy))
    return;
  if (fs::exists(data_path(directory)))
    fs::remove(copy);  // the damaged file is still there, and is read again
  else
    fs::rename(copy, data_path(directory));
  sync_names(directory);
}

std::string set_aside(const std::string& directory, const std::string& cause, bool salvaged) {
  const auto from = data_path(directory);
  const auto to = fmt::format("{}.damaged-{}", from, unix_nanos());
  if (salvaged)
    fs::rename(data_path(salvage_directory(directory)), whole_copy(directory));
  sync_names(directory);
  fs::rename(from, to);
  fs::remove(fs::path(directory) / "lock.mdb");  // holds reader slots only
  log::error("file set aside file={} cause=\"{}\"", to, cause);
  finish_salvage(directory);
  return to;
}

} // namespace holdfast::storage
