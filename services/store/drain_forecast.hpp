#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>

namespace holdfast::store {

/// How long a backlog takes at the rate at which it has been shrinking: an average over the time since it last began to
/// shrink, which forgets half in 10 s. Pure; time is passed in.
class drain_forecast {
public:
  using clock = std::chrono::steady_clock;

  void sample(std::uint64_t backlog, clock::time_point now) {
    const std::chrono::duration<double> passed = now - since_;
    if (since_ != clock::time_point{} && passed.count() > 0) {
      const double drained = static_cast<double>(backlog_) - static_cast<double>(backlog);
      const bool begins = drained_ <= 0 && drained > 0;  // how it grew before says nothing about it
      const double weight = begins ? 0 : std::exp2(-passed.count() / half_life);
      drained_ = drained_ * weight + drained;
      seconds_ = seconds_ * weight + passed.count();
    }
    if (backlog == 0)
      drained_ = seconds_ = 0;
    backlog_ = backlog;
    since_ = now;
  }
  /// Seconds; -1: it does not shrink.
  double seconds() const {
    return backlog_ == 0 ? 0 : drained_ > 0 ? static_cast<double>(backlog_) * seconds_ / drained_ : -1;
  }

private:
  static constexpr double half_life = 10;
  std::uint64_t backlog_ = 0;
  clock::time_point since_{};
  double drained_ = 0;  // records, and the seconds they took; what is older weighs less
  double seconds_ = 0;
};

} // namespace holdfast::store
