#pragma once

#include "common/link/profile.hpp"

#include <cstdint>
#include <deque>
#include <optional>

namespace holdfast::link {

enum class breaker_state { closed, open, half_open };
const char* to_string(breaker_state state);

/// One circuit breaker for every transport (M13). An outcome is whatever the transport calls a request: an attempt to
/// connect, a publish, a batch. Opens when at least half of the last outcomes failed, lets a few trials through after
/// 10 s, closes when all of them succeed and opens again when one fails. Pure; time is passed in.
class circuit_breaker {
public:
  explicit circuit_breaker(breaker_settings settings) : settings_(settings) {}

  /// May a request go? Half-open, each yes is one of the trials.
  bool allow(time_point now);
  void succeeded(time_point now) { outcome(true, now); }
  void failed(time_point now) { outcome(false, now); }

  breaker_state state(time_point now) const;
  /// Share of the outcomes that count.
  double errors(time_point now) const;
  std::uint64_t openings() const noexcept { return openings_; }
  /// When an open breaker lets something through again.
  std::optional<time_point> next_deadline() const;

private:
  struct result {
    time_point at;
    bool good;
  };

  void outcome(bool good, time_point now);
  void open(time_point now);

  breaker_settings settings_;
  std::deque<result> recent_;
  bool closed_ = true;
  time_point due_{};          // not closed: when trials may go, again where those that went gave no outcome
  unsigned trials_ = 0;       // let through
  unsigned successes_ = 0;    // of them
  std::uint64_t openings_ = 0;
};

} // namespace holdfast::link
