#pragma once

#include "common/link/profile.hpp"

#include <algorithm>
#include <cmath>

namespace holdfast::link {

/// Keeps traffic away from a link that comes and goes, as RFC 2439 does with routes: each flap adds a penalty that
/// halves with time; above one threshold the link is suppressed, until below another. Pure; time is passed in.
class flap_damping {
public:
  explicit flap_damping(damping_settings settings)
      : settings_(settings),
        ceiling_(settings.reuse * std::exp2(seconds(settings.longest) / seconds(settings.half_life))) {}

  void penalise(double penalty, time_point now) {
    suppressed_ = suppressed(now);
    penalty_ = std::min(this->penalty(now) + penalty, ceiling_);
    since_ = now;
    suppressed_ = suppressed_ || penalty_ >= settings_.suppress;
  }
  double penalty(time_point now) const {
    return penalty_ * std::exp2(-(seconds(now - since_) / seconds(settings_.half_life)));
  }
  bool suppressed(time_point now) const { return suppressed_ && now < reuse_at(); }
  /// When a suppressed link may be used again, if it flaps no more.
  time_point reuse_at() const {
    const double halvings = std::log2(std::max(penalty_, settings_.reuse) / settings_.reuse);
    return since_ + ticks(seconds(settings_.half_life) * halvings);
  }

private:
  damping_settings settings_;
  double ceiling_;
  double penalty_ = 0;
  time_point since_{};
  bool suppressed_ = false;
};

} // namespace holdfast::link
