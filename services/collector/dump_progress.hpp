#pragma once

#include "common/core/range_set.hpp"
#include "holdfast/v1/storage.pb.h"

#include <cstdint>
#include <string>

namespace holdfast::collector {

/// What a reader of the archive knows of an origin, and how far it is read. Pure.
class dump_progress {
public:
  std::uint64_t next = 1;  ///< seq read next

  /// What arrived before the first row was learned must be there to be read; the rest may come behind the reader.
  void learn(v1::OriginRow row);
  /// A batch, whether it is printed or not.
  void read(std::uint64_t first, std::uint32_t records);

  const v1::OriginRow& row() const noexcept { return row_; }
  std::uint64_t last() const;                   ///< highest number that arrived
  bool has_arrived(seq_range r) const;          ///< all of it
  std::uint64_t held_beyond() const;            ///< how many numbers from `next` on
  std::string sum() const;                      ///< a line of JSON
  std::string who() const;
  /// For people: which numbers were to be read and were not; empty: none.
  std::string unread() const;

private:
  v1::OriginRow row_;
  range_set unread_;
  bool learned_ = false;
};

} // namespace holdfast::collector
