// What a store that starts makes of its damaged file, in the time that a start has.

#include "common/telemetry/log.hpp"
#include "services/store/salvage.hpp"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>

namespace holdfast::store {

namespace {

constexpr std::chrono::milliseconds rows_time{1000};  // there are few, but looking for them may read the whole file

std::function<bool()> over(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  return [until] { return std::chrono::steady_clock::now() > until; };
}

salvaged take_rows(salvage_options o) {
  std::filesystem::remove_all(o.into);  // what was begun takes room
  o.rows_only = true;
  o.stop = over(rows_time);
  o.stop_looking = over(rows_time / 2);
  return salvage(o);
}

} // namespace

salvage_tries::salvage_tries(const std::string& directory)
    : path_((std::filesystem::path(directory) / "salvages").string()) {
  std::ifstream(path_) >> begun_;
}

bool salvage_tries::begin() const {
  std::ofstream(path_, std::ios::trunc) << begun_ + 1;
  return begun_ < most_tries;
}

void salvage_tries::forget() const {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

taken_over take_over(const salvage_options& o) {
  taken_over out;
  try {
    if (o.rows_only)
      throw std::runtime_error("earlier starts did not come to the end of it");
    const auto found = salvage(o);
    for (auto& p : found.problems)
      log::error("damaged file={} {}", o.file, p);
    if (found.finished)
      return {!found.classes.empty(), found.text()};
    out.text = "not read: it is large";
  } catch (const std::exception& e) {
    out.text = fmt::format("not read: {}", e.what());
  }
  try {
    out.text += fmt::format("; {} producers go on where they were", take_rows(o).producers);
    out.kept = true;
  } catch (const std::exception& e) {
    log::error("producers begin again file={} cause=\"{}\"", o.file, e.what());
  }
  out.text += "; see holdfastctl store salvage";
  return out;
}

} // namespace holdfast::store
