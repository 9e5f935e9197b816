#pragma once

#include <chrono>

namespace holdfast::actor {

/// The next moment at which an actor must wake, where timers cannot be cancelled: one for an earlier moment is armed
/// beside the others, which then wake it for nothing. Nothing puts an armed moment off, however often the actor is
/// called meanwhile, and no second timer is armed for the same one: their number only falls while none fires.
class next_wake {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Whether a timer must be armed for this moment.
  bool arm(time_point due) {
    if (due >= armed_)
      return false;
    armed_ = due;
    return true;
  }
  /// The actor looks at everything that is due, whoever woke it; what is still to come is armed after this.
  void woke(time_point now) {
    if (armed_ <= now)
      armed_ = time_point::max();
  }

private:
  time_point armed_ = time_point::max();
};

} // namespace holdfast::actor
