#pragma once

#include "services/acquisition/sample.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::acquisition {

/// Why records will be missing; the values of v1.GapReason.
enum class gap_reason { overflow = 1, oversize = 2 };

/// An encoded batch.
struct encoded_batch {
  std::string payload;       ///< a serialised v1.Batch
  std::uint32_t records = 0;
};

/// Encodes records into a v1.Batch as they come: the one place where that happens. Pure; times are passed in.
class batch_builder {
public:
  batch_builder(std::string boot_id, std::size_t expected_bytes);

  /// Records whose clock disagrees with the open batch's must go to a new one: the wall clock was stepped, or became
  /// (un)synchronised.
  bool fits(const timestamp& at, bool synchronised) const;

  void add_frame(std::string_view stream, const timestamp& at, bool synchronised, std::string_view bytes);
  void add_sample(const sample& s, bool synchronised);
  void add_gap(std::string_view stream, const timestamp& at, bool synchronised, std::uint64_t count, gap_reason why);

  std::uint32_t records() const noexcept { return records_; }
  std::size_t bytes() const noexcept { return payload_.size(); }
  bool empty() const noexcept { return records_ == 0; }

  /// The batch so far; the builder starts anew.
  encoded_batch take();

private:
  void begin(const timestamp& at, bool synchronised);
  std::uint32_t stream_index(std::string_view name);
  void make_room(std::size_t more);

  std::string boot_id_;
  std::size_t expected_bytes_;
  std::string payload_;
  std::uint32_t records_ = 0;
  std::vector<std::string> streams_;
  timestamp base_;
  bool synchronised_ = false;
};

} // namespace holdfast::acquisition
