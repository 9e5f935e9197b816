#pragma once

#include "common/link/profile.hpp"

#include <algorithm>

namespace holdfast::link {

/// A bandwidth cap: `rate` bytes per second over time, `burst` bytes at once. What is larger than the burst goes when
/// the bucket is full, and leaves a debt. Rate 0: no cap. Pure; time is passed in.
class token_bucket {
public:
  token_bucket(double rate, double burst) : rate_(rate), burst_(burst), tokens_(burst) {}

  /// When n bytes may go; now if they may.
  time_point next(std::uint64_t n, time_point now) const {
    const double missing = std::min(static_cast<double>(n), burst_) - level(now);
    // A tick more than the division says, or rounding lets the caller wake too early again and again.
    return rate_ <= 0 || missing <= 0 ? now : now + ticks(seconds(missing / rate_)) + clock::duration(1);
  }
  /// They went, whether they might or not.
  void spend(std::uint64_t n, time_point now) {
    tokens_ = level(now) - static_cast<double>(n);
    since_ = std::max(since_, now);
  }
  bool take(std::uint64_t n, time_point now) {
    if (next(n, now) > now)
      return false;
    spend(n, now);
    return true;
  }
  double level(time_point now) const {
    const seconds passed = now > since_ ? now - since_ : clock::duration(0);
    return std::min(burst_, tokens_ + rate_ * passed.count());
  }

private:
  double rate_;
  double burst_;
  double tokens_;
  time_point since_{};
};

} // namespace holdfast::link
