#pragma once

#include <algorithm>
#include <chrono>

namespace holdfast::acquisition {

/// When a device is called again. Pure: time and chance are passed in.
///
/// A connection alone proves nothing: a device whose sessions are all in use accepts and closes, and one that hangs may
/// do so for days. Only a conversation that brought a byte or lasted `proof` was one; all else is a failed attempt, and
/// the wait after these doubles up to `last`.
class redial {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using milliseconds = std::chrono::milliseconds;

  static constexpr milliseconds proof{1000};
  static constexpr milliseconds first{100};
  static constexpr milliseconds last{30'000};

  /// A conversation began.
  void began(time_point now) noexcept { since_ = now; }
  /// It ended. True: it was one, and the next attempt may go at once. Else wait() says when.
  bool ended(bool brought_a_byte, time_point now) noexcept {
    const bool was_one = brought_a_byte || now - since_ >= proof;
    if (was_one)
      wait_ = first;
    return was_one;
  }
  /// The wait after an attempt that failed, half of it at least; `chance` in [0, 1].
  milliseconds wait(double chance) noexcept {
    const auto half = wait_ / 2;
    wait_ = std::min(2 * wait_, last);
    return half + milliseconds(static_cast<long>(chance * static_cast<double>(half.count())));
  }

private:
  time_point since_{};
  milliseconds wait_ = first;
};

} // namespace holdfast::acquisition
