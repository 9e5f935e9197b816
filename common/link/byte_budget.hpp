#pragma once

#include "common/link/profile.hpp"

#include <chrono>
#include <cstdint>

namespace holdfast::link {

using wall_time = std::chrono::sys_seconds;

enum class budget_level { ample, warned, reserve, spent };
const char* to_string(budget_level level);

/// What is kept over restarts.
struct budget_state {
  std::int64_t day = 0;     ///< since 1970-01-01, UTC: where the clock is
  std::int64_t counted = 0; ///< the one whose use this is; another one only after the clock stepped far back
  std::uint64_t used_day = 0;
  std::uint64_t used_month = 0;
  friend bool operator==(const budget_state&, const budget_state&) = default;
};

/// How many bytes a metered link may still carry, per day and per month (UTC), counted on the wire. Pure: wall time is
/// passed in.
///
/// The clock may step. A step back never gives a budget twice: a short one leaves the day that is counted as it is; a
/// long one (it had been wrong, or is: a boot in 1970) moves to the earlier day and takes what was used along, and back
/// again. The day after gives a new one.
class byte_budget {
public:
  explicit byte_budget(budget_settings settings, budget_state state = {}) : settings_(settings), state_(state) {}

  void spend(std::uint64_t bytes, wall_time now);
  /// Days and months begin here; call it before asking when nothing was spent for long.
  void advance(wall_time now);

  static constexpr std::uint64_t closing = 4096;  ///< probes between two counts, and the end of the session
  /// What a batch takes on the wire at most, with headers, answer and what TLS adds.
  static constexpr std::uint64_t wire_bytes(std::uint64_t batch) { return batch + batch / 8 + 320; }

  /// Once `coming` bytes more are spent.
  budget_level level(std::uint64_t coming = 0) const;
  /// At this level it is at its end for classes with this rule.
  static constexpr budget_level end_of(budget_rule rule) {
    return rule == budget_rule::use_reserve ? budget_level::spent : budget_level::reserve;
  }
  /// Whether a class with this rule may have so many bytes more on the wire.
  bool has_room(budget_rule rule, std::uint64_t coming) const {
    return rule == budget_rule::ignore || level(coming + closing) < end_of(rule);
  }
  /// Bytes until the limit, or until the reserve begins. The largest number where there is no limit.
  std::uint64_t left() const { return left_below(1, 0); }
  std::uint64_t left_without_reserve() const { return left_below(settings_.reserve, 0); }
  const budget_state& state() const noexcept { return state_; }

private:
  static constexpr std::int64_t short_step = 2;  // days

  std::uint64_t left_below(double share, std::uint64_t coming) const;

  budget_settings settings_;
  budget_state state_;
};

} // namespace holdfast::link
