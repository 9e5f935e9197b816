#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>

namespace holdfast::store {

/// How long a backlog takes at the rate at which it has been shrinking: an average that forgets half in 10 s. Pure;
/// time is passed in.
class drain_forecast {
public:
  using clock = std::chrono::steady_clock;

  void sample(std::uint64_t backlog, clock::time_point now) {
    const std::chrono::duration<double> passed = now - since_;
    if (since_ != clock::time_point{} && passed.count() > 0) {
      const double rate = (static_cast<double>(backlog_) - static_cast<double>(backlog)) / passed.count();
      const double weight = std::exp2(-passed.count() / half_life);
      rate_ = rate_ * weight + rate * (1 - weight);
    }
    if (backlog == 0)
      rate_ = 0;
    backlog_ = backlog;
    since_ = now;
  }
  /// Seconds; -1: it does not shrink.
  double seconds() const { return backlog_ == 0 ? 0 : rate_ > 0 ? static_cast<double>(backlog_) / rate_ : -1; }

private:
  static constexpr double half_life = 10;
  std::uint64_t backlog_ = 0;
  clock::time_point since_{};
  double rate_ = 0;
};

} // namespace holdfast::store
