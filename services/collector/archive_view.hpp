#pragma once

#include "common/storage/lmdb.hpp"
#include "holdfast/v1/storage.pb.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::collector {

/// The archive (archive.hpp) as a reader beside the collector sees it, be it damaged. LMDB refuses to go on with a
/// transaction that met a damaged page, and what such a page seems to hold may be anything: readers check each entry
/// (number_in), begin a new transaction after damage, and go on where something can be read again (readable_after).
class archive_view {
public:
  /// Throws std::runtime_error: not there, no archive, or a file that is cut off.
  explicit archive_view(const std::string& directory);

  storage::environment& env() noexcept { return env_; }
  storage::table batches() const noexcept { return batches_; }
  storage::table arrivals() const noexcept { return arrivals_; }
  storage::table index() const noexcept { return index_; }

  struct origin_rows {
    std::vector<v1::OriginRow> rows;
    bool complete = true;  ///< false: there are more, which cannot be read
  };
  origin_rows origins();
  std::uint64_t last_arrival();
  /// The directory has another archive by now, or none: what is read here grows no more.
  bool replaced() const;

  using entry = std::optional<storage::cursor::entry>;
  /// The number behind `prefix` in the key of an entry of arrivals (no prefix) or index (an origin's id); nullopt: it
  /// is another's, or cannot be an entry of them.
  static std::optional<std::uint64_t> number_in(const entry& e, std::string_view prefix);
  /// Nothing can be read at `from`: the first number up to `last` at which something can be; a guess from few looks
  /// where more than one page is damaged.
  std::optional<std::uint64_t> readable_after(storage::table t, const std::string& prefix, std::uint64_t from,
                                              std::uint64_t last);

private:
  bool readable(storage::table t, const std::string& prefix, std::uint64_t from, std::uint64_t at);

  std::string directory_;
  std::pair<std::uint64_t, std::uint64_t> file_;  // device and inode
  storage::environment env_;
  storage::table origins_ = 0;
  storage::table batches_ = 0;
  storage::table arrivals_ = 0;
  storage::table index_ = 0;
};

} // namespace holdfast::collector
