#pragma once

#include <algorithm>
#include <chrono>

namespace holdfast {

/// When to say hello again to a store that is there and does not answer: its actors start a moment after its sockets,
/// so at first soon. A store that is stopped or slow finds every hello in its queue, so the longer it is silent, the
/// rarer they come. Pure: time is passed in.
class greeting {
public:
  using clock = std::chrono::steady_clock;
  using milliseconds = std::chrono::milliseconds;

  static constexpr milliseconds soonest{25};  ///< during the first second
  static constexpr milliseconds rarest{250};

  void said(clock::time_point now) {
    if (!asking_)
      first_ = now;
    asking_ = true;
    last_ = now;
  }
  /// Answered, or somebody else is there now: the next hello is a first one.
  void over() noexcept { asking_ = false; }
  bool asking() const noexcept { return asking_; }
  /// From the last hello to the next: a fortieth of the time that was waited in vain.
  milliseconds wait() const {
    return std::clamp(std::chrono::duration_cast<milliseconds>(last_ - first_) / 40, soonest, rarest);
  }
  bool due(clock::time_point now) const { return asking_ && now - last_ >= wait(); }

private:
  clock::time_point first_{};
  clock::time_point last_{};
  bool asking_ = false;
};

} // namespace holdfast
