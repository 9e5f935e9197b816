#pragma once

#include "common/config/config.hpp"
#include "services/acquisition/batch_builder.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::acquisition {

/// What a source makes of frames and samples: records in the open batch, and gap records for what had to be dropped.
/// Pure. After each addition ask `full()`; take the batch with `take()`.
class recorder {
public:
  struct counters {
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;     ///< of transparent frames
    std::uint64_t dropped = 0;   ///< no room, or refused for good by the store
    std::uint64_t oversize = 0;
  };

  recorder(const config::source& settings, std::string boot_id);

  /// From now on records are stamped as (un)synchronised.
  void set_synchronised(bool yes) noexcept { synchronised_ = yes; }

  /// Whether a record made at that time belongs to another batch than the open one.
  bool needs_new_batch(const timestamp& at) const { return !builder_.fits(at, synchronised_); }
  /// `room` false: the record is dropped and counted; a gap record tells when there is room again.
  void frame(const timestamp& at, std::string_view bytes, bool room);
  void value(const sample& s, bool room);
  /// Here too: a gap record takes room like any other.
  void oversize(const timestamp& at, bool room);
  /// Records that are lost for another reason: a batch the store will never take, datagrams the kernel had no room for.
  void lost(std::uint64_t count) {
    gaps_[{stream_, gap_reason::overflow}] += count;
    counters_.dropped += count;
  }
  /// Something was dropped and no gap record tells it yet. tell_gaps() tells it where no further record comes.
  bool owes_gaps() const noexcept { return !gaps_.empty(); }
  void tell_gaps(const timestamp& at);

  bool empty() const noexcept { return builder_.empty(); }
  bool full() const noexcept { return builder_.records() >= max_records_ || builder_.bytes() >= max_bytes_; }
  std::uint32_t records() const noexcept { return builder_.records(); }
  encoded_batch take() { return builder_.take(); }
  const counters& figures() const noexcept { return counters_; }

private:
  bool admit(const std::string& stream, bool room);

  std::string stream_;
  unsigned max_records_;
  std::uint64_t max_bytes_;
  batch_builder builder_;
  std::map<std::pair<std::string, gap_reason>, std::uint64_t> gaps_;  // by stream: dropped since the last gap record
  bool synchronised_ = false;
  counters counters_;
};

} // namespace holdfast::acquisition
