#pragma once

#include "common/config/config.hpp"

#include <chrono>

namespace holdfast::uplink {

/// When to try again (design section 7, mission M6). Pure: time and chance are passed in.
///
/// After a session that stood, a few quick attempts: a peer that restarts is back in tenths of a second. Then
/// full-jitter exponential backoff: a random time up to first, 2 first, 4 first, ... up to cap. What begins anew is a
/// session long enough for what it brought: `stable` if it sent and nothing was acknowledged, `cap` if nothing had to
/// be sent (a standby that somebody cuts every minute is there between), `first` if something was acknowledged, and
/// never longer than `stable`; and the first session where no attempt had failed. Any other is one step, as a failed
/// attempt is: an other end that welcomes and cannot store would get the same records many times a second. Where
/// something was acknowledged the step leads no further than to `first`: that does not go again. After
/// `unavailable_after` attempts in a row the link counts as unavailable and goes on at the cap, or at half of it at
/// least.
class reconnect {
public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit reconnect(config::reconnect settings) : settings_(settings) {}

  /// A session stands.
  void established(time_point now);
  void sent() noexcept { sent_ = true; }
  /// The other end has stored something that it was sent in this session.
  void acknowledged() noexcept { useful_ = standing_; }
  /// What is sent brings nothing, in this session as in the one before: another, at once, would not either. One alone
  /// may be an outage that met a standby at its first batch.
  bool in_vain() const noexcept { return sent_ && !useful_ && vain_; }
  /// It ended, or an attempt failed.
  void lost(time_point now);
  /// Wait before the next attempt; `chance` in [0, 1).
  std::chrono::milliseconds wait(double chance) const;
  /// The next attempt is one of the quick ones.
  bool quick() const noexcept { return quick_left_ > 0; }
  bool unavailable() const noexcept { return attempts_ >= settings_.unavailable_after; }
  unsigned attempts() const noexcept { return attempts_; }

private:
  bool stood(time_point now) const;
  void begin();
  void step();

  config::reconnect settings_;
  unsigned attempts_ = 0;      // since the last session that stood
  unsigned quick_left_ = 0;
  unsigned backoffs_ = 0;      // waits of the backoff so far, the present one included
  bool standing_ = false;
  bool sent_ = false;          // something went in it ...
  bool useful_ = false;        // ... and was acknowledged
  bool vain_ = false;          // the last session that sent anything had nothing acknowledged
  time_point since_{};
};

} // namespace holdfast::uplink
