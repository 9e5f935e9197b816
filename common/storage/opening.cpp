#include "common/storage/opening.hpp"

#include "common/storage/data_file.hpp"
#include "common/storage/lmdb.hpp"
#include "common/storage/raw_file.hpp"

#include <chrono>
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
    if (!raw_file(path).sound([until] { return std::chrono::steady_clock::now() > until; }))
      return "pages of its index are not what LMDB wrote";
  } catch (const error&) {  // opening it tells
  }
  return {};
}

} // namespace

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
