#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace holdfast::store {

/// How much backlog may be on its way on one link, so that a live record never waits long behind it: what the link
/// carries in its own delay plus `max_wait`. Pure; time is passed in.
///
/// Rate and delay are measured on the acknowledgements, as BBR does (Cardwell et al., ACM Queue 14(5), 2016): the rate of
/// a sample is what was delivered between a lease and its acknowledgement; the highest of the last seconds counts, and
/// the lowest delay.
class link_pace {
public:
  using clock = std::chrono::steady_clock;

  static constexpr std::chrono::milliseconds max_wait{100};
  static constexpr std::chrono::seconds memory{5};
  static constexpr std::uint64_t floor_bytes = 64 * 1024;
  static constexpr std::uint64_t first_bytes = 256 * 1024;  ///< until something is measured

  /// Remembered with a lease.
  struct mark {
    clock::time_point at{};
    std::uint64_t delivered = 0;
  };

  mark leased(clock::time_point now) const { return {now, delivered_}; }

  void acknowledged(const mark& m, std::uint64_t bytes, clock::time_point now) {
    delivered_ += bytes;
    const seconds delay = std::max<seconds>(now - m.at, std::chrono::microseconds(100));
    turn(now);
    best_rate_ = std::max(best_rate_, static_cast<double>(delivered_ - m.delivered) / delay.count());
    least_delay_ = least_delay_.count() == 0 ? delay : std::min(least_delay_, delay);
  }

  /// Bytes of backlog that may be unacknowledged.
  std::uint64_t backlog_limit() const {
    const double rate = std::max(best_rate_, older_rate_);
    if (rate <= 0)
      return first_bytes;
    const auto delay = older_delay_.count() == 0 ? least_delay_ : std::min(least_delay_, older_delay_);
    return std::max(floor_bytes, static_cast<std::uint64_t>(rate * (delay + seconds(max_wait)).count()));
  }

private:
  using seconds = std::chrono::duration<double>;

  // Two halves of the memory: the older one is forgotten when the younger is full.
  void turn(clock::time_point now) {
    if (now - since_ < memory)
      return;
    since_ = now;
    older_rate_ = best_rate_;
    older_delay_ = least_delay_;
    best_rate_ = 0;
    least_delay_ = seconds(0);
  }

  std::uint64_t delivered_ = 0;
  clock::time_point since_{};
  double best_rate_ = 0;
  double older_rate_ = 0;
  seconds least_delay_{0};
  seconds older_delay_{0};
};

} // namespace holdfast::store
