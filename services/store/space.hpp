#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace holdfast::store {

/// Whether the disk (or the file's bound) has room for offers, and how much may go into one commit. Pure. The quota is
/// class_policy's.
///
/// That there is none shows in a commit that fails. Then what was confirmed is deleted alone, in small commits, until it
/// is all gone, and offers wait until there is clearly more room than where it failed.
class space {
public:
  static constexpr std::uint64_t most_offer_bytes = 8 << 20;  ///< bounds a commit's length, so the first offer's wait
  static constexpr std::uint64_t fewest_removals = 16;
  static constexpr std::uint64_t all_removals = 1 << 20;
  static constexpr std::uint64_t least_more = 4 << 20;  ///< a small disk must not be full and open again all the time

  /// A commit failed for want of room and nothing has shown since that there is enough.
  bool short_of_room() const noexcept { return reopen_.has_value(); }
  /// What is confirmed goes first and alone.
  bool careful() const noexcept { return removals_ < all_removals; }
  std::uint64_t removals() const noexcept { return removals_; }        ///< batches deleted in one commit
  std::uint64_t offer_bytes() const noexcept { return offer_bytes_; }  ///< offers in one commit

  /// A commit stood.
  void committed() {
    removals_ = std::min(removals_ * 2, all_removals);
    offer_bytes_ = std::min(offer_bytes_ * 2, most_offer_bytes);
  }

  /// A commit failed for want of room, though there are `room` bytes: too few, or in pieces.
  void refused(std::uint64_t used, std::uint64_t room) {
    removals_ = fewest_removals;
    offer_bytes_ = std::max<std::uint64_t>(offer_bytes_ / 2, 1);
    const auto all = used + room;
    reopen_ = std::min(room + std::max(all / 20, least_more), all - all / 10);  // an empty store must not wait for more
  }

  /// There are `room` bytes now.
  void room(std::uint64_t room) {
    if (reopen_ && room >= *reopen_)
      reopen_.reset();
  }

private:
  std::optional<std::uint64_t> reopen_;
  std::uint64_t removals_ = all_removals;
  std::uint64_t offer_bytes_ = most_offer_bytes;
};

} // namespace holdfast::store
