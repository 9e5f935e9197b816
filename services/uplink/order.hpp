#pragma once

#include <chrono>
#include <string>

namespace holdfast::uplink {

/// What the store wants of the link (LinkOrder). Pure: time is passed in. An order outlives its store: one that begins
/// anew says at once what it wants, and until then a link that was drained rests.
class order {
public:
  using time_point = std::chrono::steady_clock::time_point;

  static constexpr std::chrono::seconds last_answers{2};  ///< an unwanted session waits so long for what is in flight

  /// True: wanted again, the next attempt is now. An order that changes nothing in that leaves the attempt its time:
  /// orders come at every change of a route.
  bool take(bool connect, const std::string& state, time_point now) {
    state_ = state;
    if (wanted_ == connect)
      return false;
    wanted_ = connect;
    since_ = now;
    return connect;
  }
  bool wanted() const noexcept { return wanted_; }
  /// What the store calls the link.
  const std::string& state() const noexcept { return state_; }
  /// Whether the session is to end. `answered`: nothing of it is in flight.
  bool over(bool answered, time_point now) const {
    return !wanted_ && (answered || now - since_ >= last_answers);
  }

private:
  bool wanted_ = true;  // until the store says otherwise
  std::string state_;
  time_point since_{};
};

} // namespace holdfast::uplink
