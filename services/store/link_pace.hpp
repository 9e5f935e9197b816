#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace holdfast::store {

/// How much backlog may be on its way on one link, so that a live record never waits long behind it: what the link
/// carries in its own delay and as long again, that being at least `min_wait` and at most `max_wait`. So long a live
/// record waits, or, where a drained link is just being filled again, about the link's round trip more. Pure; time is
/// passed in.
///
/// Rate and delay are measured on the acknowledgements, as BBR does (Cardwell et al., ACM Queue 14(5), 2016). The rate
/// of a sample is what was delivered between a lease and its acknowledgement; the highest of the last seconds counts.
/// The delay is that of a batch with (almost) nothing before it; where traffic gives no such sample for a while, the
/// backlog pauses until there is one, or queues of its own would count as the link's delay and grow for ever.
class link_pace {
public:
  using clock = std::chrono::steady_clock;

  static constexpr std::chrono::milliseconds min_wait{10};
  static constexpr std::chrono::milliseconds max_wait{100};
  static constexpr std::chrono::seconds rate_memory{10};
  static constexpr std::chrono::seconds delay_memory{30};   ///< a pause costs a round trip of the backlog's time
  static constexpr std::chrono::seconds longest_pause{2};
  static constexpr std::uint64_t floor_bytes = 64 * 1024;
  static constexpr std::uint64_t alone_bytes = 16 * 1024;  ///< so little before a batch leaves the delay the link's own
  static constexpr std::uint64_t first_bytes = 256 * 1024;  ///< until something is measured

  /// Remembered with a lease.
  struct mark {
    clock::time_point at{};
    std::uint64_t bytes = 0;
    std::uint64_t delivered = 0;
    bool alone = false;  // little was on its way before it
  };

  mark leased(std::uint64_t bytes, clock::time_point now) {
    const mark m{now, bytes, delivered_, in_flight_ <= alone_bytes};
    in_flight_ += bytes;
    return m;
  }

  void acknowledged(const mark& m, clock::time_point now) {
    in_flight_ -= m.bytes;
    delivered_ += m.bytes;
    const seconds took = std::max<seconds>(now - m.at, std::chrono::microseconds(100));
    if (now - rate_since_ >= rate_memory / 2) {
      rate_since_ = now;
      older_rate_ = std::exchange(rate_, 0.0);
    }
    rate_ = std::max(rate_, static_cast<double>(delivered_ - m.delivered) / took.count());
    note_delay(m, took, now);
  }

  /// Bytes of backlog that may be unacknowledged.
  std::uint64_t backlog_limit() const {
    const double rate = std::max(rate_, older_rate_);
    if (rate <= 0)
      return first_bytes;
    if (pausing_)
      return alone_bytes;
    const auto wait = std::clamp<seconds>(delay_, min_wait, max_wait);
    return std::max(floor_bytes, static_cast<std::uint64_t>(rate * (delay_ + wait).count()));
  }

private:
  using seconds = std::chrono::duration<double>;

  void note_delay(const mark& m, seconds took, clock::time_point now) {
    if (m.alone) {
      const bool stale = now - delay_since_ >= delay_memory;
      delay_ = stale ? took : std::min(delay_, took);
      delay_since_ = stale || pausing_ ? now : delay_since_;
      pausing_ = false;
    } else if (now - delay_since_ >= delay_memory) {
      pausing_ = now - delay_since_ < delay_memory + longest_pause;
      if (!pausing_)
        delay_since_ = now;  // live records leave the link no gap: the old value has to do
    }
  }

  std::uint64_t in_flight_ = 0;
  std::uint64_t delivered_ = 0;
  clock::time_point rate_since_{};
  double rate_ = 0;
  double older_rate_ = 0;
  clock::time_point delay_since_{};
  seconds delay_{0};
  bool pausing_ = false;
};

} // namespace holdfast::store
