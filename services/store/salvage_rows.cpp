#include "services/store/salvage_rows.hpp"

#include "common/storage/row.hpp"
#include "holdfast/v1/storage.pb.h"
#include "services/store/row_types.hpp"

#include <fmt/format.h>

#include <utility>

namespace holdfast::store {

void salvage_rows::read(storage::raw_file& file, const storage::raw_file::databases& tables,
                        const std::function<bool()>& stopped) {
  for (const std::string name : row_tables) {
    const auto where = tables.find(name);
    auto& rows = rows_[name];
    const bool whole = where != tables.end()
                       && file.walk(where->second, [&](std::string_view key, std::string_view value) {
      const auto row = row_of(name, key);
      if (row && storage::unseal(name, key, value, *row))
        rows.emplace(key, value);
      else if (row)
        bad(name, fmt::format("{}: the row of \"{}\" is not what was written", name, key));
      return !stopped();
    });
    if (!whole && !is_bad(name))
      bad(name, fmt::format("{}: not all rows can be read", name));
  }
}

void salvage_rows::bad(const std::string& table, std::string problem) {
  bad_.insert(table);
  problems_.push_back(std::move(problem));
}

void salvage_rows::take_producer(std::string_view key, std::string_view value) {
  v1::ProducerRow row;
  if (!is_row_of("producers", key, value, row))
    return;
  auto& known = rows_["producers"].try_emplace(std::string(key), value).first->second;
  v1::ProducerRow before;
  storage::unseal("producers", key, known, before);
  if (before.last_seq() < row.last_seq())
    known = value;
}

void salvage_rows::forget_numbers() {
  rows_["classes"].clear();
  rows_["delivery"].clear();
  rows_["meta"].erase("expiry");
}

// All tables, also empty ones: where one is missing the store takes it for lost.
void salvage_rows::write(salvage_copy& to) const {
  for (const std::string name : row_tables)
    to.make(name);
  for (auto& [table, rows] : rows_)
    for (auto& [key, value] : rows)
      to.put(table, key, value);
}

} // namespace holdfast::store
