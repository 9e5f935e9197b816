#include "services/store/damaged_batch.hpp"

#include "common/storage/data_file.hpp"
#include "common/telemetry/log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace holdfast::store {

namespace fs = std::filesystem;

namespace {

constexpr const char* prefix = "batch.damaged-";
constexpr const char* unfinished = "batch.unfinished";

std::size_t kept_in(const fs::path& directory) {
  std::error_code cause;
  const fs::directory_iterator entries(directory, cause);
  return static_cast<std::size_t>(std::count_if(begin(entries), end(entries), [](auto& entry) {
    return entry.path().filename().string().starts_with(prefix);
  }));
}

bool holds(const std::string& path, std::string_view value) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {}) == value;
}

// 0 or errno.
int write_synced(const std::string& path, std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return errno;
  int cause = 0;
  while (!bytes.empty() && cause == 0) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0)
      bytes.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      cause = errno;
  }
  if (cause == 0 && ::fsync(fd) != 0)
    cause = errno;
  ::close(fd);
  return cause;
}

// Whole under that name or not there, and on the disk: soon after, the batch is removed in a commit that is.
int write_whole(const std::string& directory, const std::string& path, std::string_view bytes) {
  const auto begun = (fs::path(directory) / unfinished).string();
  int cause = write_synced(begun, bytes);
  if (cause == 0 && std::rename(begun.c_str(), path.c_str()) != 0)
    cause = errno;
  std::error_code ignored;
  if (cause != 0)
    fs::remove(begun, ignored);
  return cause != 0 ? cause : storage::sync_names(directory);
}

} // namespace

std::string keep_damaged(const std::string& directory, const std::string& record_class, std::uint64_t seq,
                         std::string_view value) {
  const auto name = (fs::path(directory) / fmt::format("{}{}-{}", prefix, record_class, seq)).string();
  auto path = name;
  std::error_code absent;
  // An empty file is what a power cut left of one that was not synced; one with other bytes is of another epoch.
  for (unsigned n = 2; fs::file_size(path, absent) > 0 && !absent; path = fmt::format("{}.{}", name, n++))
    if (holds(path, value))
      return path;
  if (absent && kept_in(directory) >= most_damaged_batches) {
    log::error("damaged batch not kept class={} seq={} cause=\"{} are kept\"", record_class, seq, most_damaged_batches);
    return {};
  }
  if (const int cause = write_whole(directory, path, value); cause != 0) {
    log::error("failed to keep damaged batch {}: {}", path, std::strerror(cause));
    return {};
  }
  log::error("damaged batch kept file={} bytes={}", path, value.size());
  return path;
}

} // namespace holdfast::store
