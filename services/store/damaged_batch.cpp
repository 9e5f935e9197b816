#include "services/store/damaged_batch.hpp"

#include "common/telemetry/log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace holdfast::store {

namespace fs = std::filesystem;

namespace {

constexpr const char* prefix = "batch.damaged-";

std::size_t kept_in(const fs::path& directory) {
  std::error_code cause;
  const fs::directory_iterator entries(directory, cause);
  return static_cast<std::size_t>(std::count_if(begin(entries), end(entries), [](auto& entry) {
    return entry.path().filename().string().starts_with(prefix);
  }));
}

} // namespace

std::string keep_damaged(const std::string& directory, const std::string& record_class, std::uint64_t seq,
                         std::string_view value) {
  const auto path = (fs::path(directory) / fmt::format("{}{}-{}", prefix, record_class, seq)).string();
  std::error_code cause;
  if (fs::exists(path, cause))
    return path;
  if (kept_in(directory) >= most_damaged_batches) {
    log::error("damaged batch not kept class={} seq={} cause=\"{} are kept\"", record_class, seq, most_damaged_batches);
    return {};
  }
  std::ofstream file(path, std::ios::binary);
  file.write(value.data(), static_cast<std::streamsize>(value.size()));
  file.close();
  if (!file) {
    log::error("failed to keep damaged batch {}: {}", path, std::strerror(errno));
    fs::remove(path, cause);
    return {};
  }
  log::error("damaged batch kept file={} bytes={}", path, value.size());
  return path;
}

} // namespace holdfast::store
