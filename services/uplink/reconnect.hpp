#pragma once

#include "common/config/config.hpp"

#include <chrono>

namespace holdfast::uplink {

/// When to try again (design section 7, mission M6). Pure: time and chance are passed in.
///
/// After a session that stood, a few quick attempts: a peer that restarts is back in tenths of a second. Then
/// full-jitter exponential backoff: a random time up to first, 2 first, 4 first, ... up to cap. Only a session in which
/// something was acknowledged begins anew, or one that lasted `stable`, and the first one where no attempt had failed.
/// Any other is one step, as a failed attempt is: an other end that welcomes and cannot store would get the same
/// records many times a second. What was acknowledged does not go again: one that restarts often, or that somebody
/// cuts every minute, is not kept waiting for it. After `unavailable_after` attempts in a row the link counts as
/// unavailable and goes on at the cap, or at half of it at least.
class reconnect {
public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit reconnect(config::reconnect settings) : settings_(settings) {}

  /// A session stands.
  void established(time_point now);
  /// The other end has stored something that it was sent in this session.
  void acknowledged() noexcept { useful_ = standing_; }
  /// It ended, or an attempt failed.
  void lost(time_point now);
  /// Wait before the next attempt; `chance` in [0, 1).
  std::chrono::milliseconds wait(double chance) const;
  /// The next attempt is one of the quick ones.
  bool quick() const noexcept { return quick_left_ > 0; }
  bool unavailable() const noexcept { return attempts_ >= settings_.unavailable_after; }
  unsigned attempts() const noexcept { return attempts_; }

private:
  void begin();
  void step();

  config::reconnect settings_;
  unsigned attempts_ = 0;      // since the last session that stood
  unsigned quick_left_ = 0;
  unsigned backoffs_ = 0;      // waits of the backoff so far, the present one included
  bool standing_ = false;
  bool useful_ = false;        // something was acknowledged in it
  time_point since_{};
};

} // namespace holdfast::uplink
