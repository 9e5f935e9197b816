#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace holdfast::store {

/// Whether there is room for offers, and how much may go into one commit. Pure.
///
/// Two things make the store full: the quota, which is counted, and the disk (or the file's bound), which shows in a
/// commit that fails. After such a failure what was confirmed is deleted alone, in small commits, until it is all gone,
/// and offers wait until there is clearly more room than where it failed.
class space {
public:
  static constexpr std::uint64_t most_offer_bytes = 8 << 20;  ///< bounds a commit's length, so the first offer's wait
  static constexpr std::uint64_t fewest_removals = 16;
  static constexpr std::uint64_t all_removals = 1 << 20;
  static constexpr std::uint64_t least_more = 4 << 20;  ///< a small disk must not be full and open again all the time

  explicit space(std::uint64_t quota = 0) : quota_(quota) {}

  bool full() const noexcept { return over_quota_ || reopen_; }
  /// A commit failed for want of room and nothing has shown since that there is enough.
  bool short_of_room() const noexcept { return reopen_.has_value(); }
  /// What is confirmed goes first and alone.
  bool careful() const noexcept { return removals_ < all_removals; }
  std::uint64_t removals() const noexcept { return removals_; }        ///< batches deleted in one commit
  std::uint64_t offer_bytes() const noexcept { return offer_bytes_; }  ///< offers in one commit

  /// A commit stood, and all batches take `used` now.
  void committed(std::uint64_t used) {
    removals_ = std::min(removals_ * 2, all_removals);
    offer_bytes_ = std::min(offer_bytes_ * 2, most_offer_bytes);
    measured(used);
  }

  /// Full at the quota, open again a little below it: the border must not be crossed with every batch.
  void measured(std::uint64_t used) {
    over_quota_ = over_quota_ ? used > quota_ - quota_ / 20 : used >= quota_;
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
  std::uint64_t quota_;
  bool over_quota_ = false;
  std::optional<std::uint64_t> reopen_;
  std::uint64_t removals_ = all_removals;
  std::uint64_t offer_bytes_ = most_offer_bytes;
};

} // namespace holdfast::store
