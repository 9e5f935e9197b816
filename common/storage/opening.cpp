#include "common/storage/opening.hpp"

#include "common/storage/data_file.hpp"
#include "common/storage/raw_file.hpp"
#include "common/telemetry/log.hpp"

#include <fmt/format.h>
#include <lmdb.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>

namespace holdfast::storage {

namespace fs = std::filesystem;

namespace {
constexpr int most_put_aside = 2;  // the file, and what was made of it
constexpr auto look_time = std::chrono::seconds(2);

// Over a page that is not what it wrote LMDB ends the process, or goes round in circles: it is not let near one.
std::string seen_to_be_wrong(const std::string& directory) {
  const auto path = (fs::path(directory) / "data.mdb").string();
  if (!fs::exists(path) || !damage_of(directory).empty())
    return {};  // opening it tells
  const auto until = std::chrono::steady_clock::now() + look_time;
  try {
    raw_file file(path);
    const bool sound = file.sound([until] { return std::chrono::steady_clock::now() > until; });
    if (const int cause = file.read_error(); cause != 0)
      log::warn("file not examined file={} cause=\"failed to read it: {}\"", path, std::strerror(cause));
    if (!sound)
      return "pages of its index are not what LMDB wrote";
  } catch (const error&) {  // opening it tells
  }
  return {};
}

} // namespace

bool has_tables(const std::vector<std::string>& names, const std::vector<std::string_view>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](auto name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  });
}

void check_tables(const std::vector<std::string>& names, const std::vector<std::string_view>& in_order) {
  const auto missing = std::find_if_not(in_order.begin(), in_order.end(),
                                        [&](auto name) { return has_tables(names, {name}); });
  const auto made = static_cast<std::size_t>(missing - in_order.begin());
  if (missing != in_order.end() && names.size() > made)
    throw error(MDB_CORRUPTED, fmt::format("failed to find table {}: it is not in the list of tables", *missing));
}

table open_meta(environment& env, const std::string& what, const std::vector<std::string_view>& own) {
  const auto names = env.table_names();
  const bool ours = has_tables(names, own);
  if (ours)
    check_tables(names, {"meta"});
  try {
    if (names.empty() || has_tables(names, {"meta"}))
      return *env.open_table("meta");
  } catch (const error& e) {
    if (e.code() != MDB_INCOMPATIBLE || ours)
      throw;
  }
  throw foreign_directory(fmt::format("failed to open {} {}: with database \"{}\" it is an LMDB file of another "
                                      "program", what, env.directory(), names.front()));
}

void open_or_set_aside(const std::string& directory, start_marker& starts, const opening& how) {
  finish_salvage(directory);
  auto cause = starts.condemned();
  if (cause.empty() && starts.failed() >= start_marker::suspicious)
    cause = examine(directory);
  if (cause.empty())
    cause = seen_to_be_wrong(directory);
  for (int aside = 0;;) {
    if (!cause.empty()) {
      if (fs::exists(fs::path(directory) / "data.mdb"))
        how.put_aside(cause, aside++ > 0);
      starts.file_replaced();
    }
    try {
      return how.open();
    } catch (const error& e) {
      how.close();
      cause = e.damaged() ? e.what() : e.full() ? "" : examine(directory);
      const bool again = cause.empty() ? e.full() && how.make_room() : aside < most_put_aside;
      if (!again)
        throw;
    } catch (const foreign_directory&) {  // or one of ours whose names are damaged
      how.close();
      cause = aside < most_put_aside ? examine(directory) : "";
      if (cause.empty())
        throw;
    }
  }
}

} // namespace holdfast::storage
