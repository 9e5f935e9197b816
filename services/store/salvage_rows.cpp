#include "services/store/salvage_rows.hpp"

#include "common/core/time.hpp"
#include "common/storage/row.hpp"
#include "holdfast/v1/record.pb.h"
#include "holdfast/v1/storage.pb.h"
#include "services/store/batch_file.hpp"
#include "services/store/row_types.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::store {

std::uint64_t worth(storage::raw_file& file, const storage::raw_file::databases& found,
                    const std::function<bool()>& stop) {
  if (!found.contains("meta") && !found.contains("classes"))
    return 0;
  std::uint64_t sum = 1;
  if (const auto classes = found.find("classes"); classes != found.end())
    file.walk(classes->second, [&](std::string_view key, std::string_view value) {
      v1::ClassRow row;
      const auto more = storage::unseal("classes", key, value, row) ? row.last_seq() : 0;
      sum += std::min(more, UINT64_MAX - sum);
    }, stop);
  return sum;
}

void salvage_rows::read(storage::raw_file& file, const storage::raw_file::databases& tables,
                        const std::function<bool()>& stop) {
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
    }, stop);
    if (!whole && !is_bad(name))
      bad(name, fmt::format("{}: not all rows can be read", name));
  }
}

void salvage_rows::bad(const std::string& table, std::string problem) {
  bad_.insert(table);
  problems_.push_back(std::move(problem));
}

void salvage_rows::take_producer(std::string_view key, std::string_view value, bool over_sound) {
  v1::ProducerRow row;
  const std::string name(key);
  auto& producers = rows_["producers"];
  const auto known = producers.find(name);
  if ((known != producers.end() && !over_sound && !stray_producers_.contains(name))
      || !is_row_of("producers", key, value, row))
    return;
  v1::ProducerRow before;
  if (known != producers.end() && storage::unseal("producers", key, known->second, before)
      && before.last_seq() >= row.last_seq())
    return;
  producers[name] = value;
  stray_producers_.insert(name);
}

void salvage_rows::tell_doubt() {
  if (!stray_producers_.empty())
    problems_.push_back(fmt::format("producers: {} rows are from pages that nothing leads to: of the last commit, or "
                                    "of one that never happened", stray_producers_.size()));
}

void salvage_rows::begin_epoch(const std::string& gateway) {
  auto& store = rows_["meta"]["store"];
  v1::StoreIdentity old;
  storage::unseal("meta", "store", store, old);
  v1::StoreIdentity id;
  id.set_schema(store_schema);
  id.set_oldest_reader(store_schema);
  id.set_kind(store_kind);
  id.set_epoch(random_id());
  id.set_gateway(old.gateway().empty() ? gateway : old.gateway());
  id.set_created_unix_nanos(unix_nanos());
  store = storage::seal("meta", "store", id);
}

void salvage_rows::set_head(const std::string& name, std::uint64_t seq) {
  v1::ClassRow row;
  row.set_last_seq(seq);
  rows_["classes"][name] = storage::seal("classes", name, row);
}

void salvage_rows::forget_numbers() {
  rows_["classes"].clear();
  rows_["delivery"].clear();
  rows_["meta"].erase("expiry");
}

storage::stored_batch damaged_gap(std::uint64_t records) {
  storage::stored_batch gap;
  gap.record_count = static_cast<std::uint32_t>(records);
  gap.gap_reason = v1::GAP_REASON_DAMAGED;
  gap.stored_unix_nanos = unix_nanos();
  return gap;
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
