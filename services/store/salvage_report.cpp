// What a salvage found, in words, and the command.

#include "services/store/salvage.hpp"

#include "common/storage/data_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <ostream>

namespace holdfast::store {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t most_ranges = 20;

std::uint64_t count(const std::vector<seq_range>& ranges) {
  std::uint64_t n = 0;
  for (auto& r : ranges)
    n += r.count();
  return n;
}

std::string listed(const std::vector<seq_range>& ranges) {
  std::string out;
  for (std::size_t i = 0; i < std::min(ranges.size(), most_ranges); ++i)
    out += fmt::format("{}{}-{}", i > 0 ? ", " : "", ranges[i].first, ranges[i].last);
  return ranges.size() > most_ranges ? fmt::format("{} and {} more", out, ranges.size() - most_ranges) : out;
}

std::string told(const char* what, const std::vector<seq_range>& ranges) {
  return ranges.empty() ? "" : fmt::format(", {} {}: seq {}", count(ranges), what, listed(ranges));
}

} // namespace

bool salvaged::complete() const {
  return finished && problems.empty() && std::all_of(classes.begin(), classes.end(), [](auto& entry) {
    return entry.second.lost.empty() && entry.second.doubtful.empty();
  });
}

std::uint64_t salvaged::records() const {
  std::uint64_t n = 0;
  for (auto& [name, lane] : classes)
    n += lane.records;
  return n;
}

std::string salvaged::text() const {
  std::string out;
  for (auto& [name, lane] : classes) {
    out += fmt::format("{}class {}: {} records held in {} batches", out.empty() ? "" : "; ", name, lane.records,
                       lane.batches);
    out += lane.held.empty() ? "" : fmt::format(" (seq {})", listed(lane.held));
    out += lane.gap_records > 0 ? fmt::format(", {} that gave way", lane.gap_records) : "";
    out += told("lost", lane.lost) + told("doubtful", lane.doubtful);
  }
  return out.empty() ? "nothing that can be read" : out;
}

int salvage(const std::string& file, const std::string& into, std::ostream& out) {
  const auto source = fs::is_directory(file) ? (fs::path(file) / "data.mdb").string() : file;
  if (!into.empty() && fs::exists(fs::path(into) / "data.mdb")) {
    out << fmt::format("failed to salvage into {}: a store is there\n", into);
    return 2;
  }
  try {
    const auto found = salvage({.file = source, .into = into});
    for (auto& p : found.problems)
      out << p << '\n';
    out << found.text() << '\n';
    if (!into.empty())
      out << fmt::format("{}: a store with {} records\n", into, found.records());
    return found.complete() ? 0 : 1;
  } catch (const std::exception& e) {
    out << e.what() << '\n';
    if (!into.empty() && fs::exists(fs::path(into) / "data.mdb"))  // there was none
      storage::remove_unfinished(into);
    return 2;
  }
}

} // namespace holdfast::store
