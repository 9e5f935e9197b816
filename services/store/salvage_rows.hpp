#pragma once

#include "common/storage/raw_file.hpp"
#include "common/storage/row.hpp"
#include "common/storage/stored_batch.hpp"
#include "services/store/salvage_copy.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::store {

/// The rows beside the batches, as far as a salvage can read them.
class salvage_rows {
public:
  /// What is not sound is told there, a line each.
  explicit salvage_rows(std::vector<std::string>& problems) : problems_(problems) {}

  void read(storage::raw_file& file, const storage::raw_file::databases& tables, const std::function<bool()>& stop);
  /// A row of a table is not to be believed, or all of them cannot be read.
  void bad(const std::string& table, std::string problem);
  bool is_bad(const std::string& table) const { return bad_.contains(table); }
  bool all_sound() const { return bad_.empty(); }

  /// An entry of some leaf that nothing leads to: of a producer, and later than what is known of it, it takes that
  /// one's place. Unless it is `over_sound`, only where no row of that producer could be read in its table: a commit
  /// that never happened may have left it, and a producer that believes it forgets what is stored nowhere.
  void take_producer(std::string_view key, std::string_view value, bool over_sound);
  /// Adds what came so to the problems.
  void tell_doubt();
  /// An identity for the store that is made; `gateway`: where that of the file cannot be read.
  void begin_epoch(const std::string& gateway);
  void set_head(const std::string& class_name, std::uint64_t seq);
  /// For a store in which numbers begin again.
  void forget_numbers();
  void write(salvage_copy& to) const;

  /// By key, sealed.
  std::map<std::string, std::string>& operator[](const std::string& table) { return rows_[table]; }

private:
  std::vector<std::string>& problems_;
  std::map<std::string, std::map<std::string, std::string>> rows_;  // table -> key -> value
  std::set<std::string> bad_;                                       // tables
  std::set<std::string> stray_producers_;
};

/// What takes the place of so many records that are lost.
storage::stored_batch damaged_gap(std::uint64_t records);

/// Of many copies of the list of tables the newest knows the highest numbers.
std::uint64_t worth(storage::raw_file& file, const storage::raw_file::databases& found,
                    const std::function<bool()>& stop);

/// Whether an entry of some leaf is a row of that table. Without a checksum it may be anything.
template <class Row> bool is_row_of(const char* table, std::string_view key, std::string_view value, Row& row) {
  return value.size() <= INT32_MAX  // as much as Protobuf takes
         && row.ParseFromArray(value.data(), static_cast<int>(value.size())) && row.has_crc32c()
         && storage::unseal(table, key, value, row);
}

} // namespace holdfast::store
