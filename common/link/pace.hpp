#pragma once

#include "common/link/profile.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace holdfast::link {

/// Smoothed round trip and its variation (RFC 6298, section 2), one sample per round trip as there.
class round_trip {
public:
  /// `sent`: when what is answered now went out. `loaded`: behind a queue of our own.
  void sample(time_point sent, time_point now, bool loaded = false) {
    if (measured_ && sent < last_)
      return;
    last_ = now;
    const seconds took = now - sent;
    const auto distance = smoothed_ > took ? smoothed_ - took : took - smoothed_;
    variation_ = measured_ ? variation_ * 0.75 + distance * 0.25 : took / 2;
    smoothed_ = measured_ ? smoothed_ * 0.875 + took * 0.125 : took;
    if (!measured_ || took <= shortest_ || (!loaded && now - shortest_since_ > memory)) {
      shortest_ = took;
      shortest_since_ = now;
    }
    measured_ = true;
  }
  bool measured() const noexcept { return measured_; }
  seconds shortest() const noexcept { return shortest_; }  ///< of the last minute
  seconds smoothed() const noexcept { return smoothed_; }
  seconds variation() const noexcept { return variation_; }

private:
  static constexpr std::chrono::seconds memory{60};

  bool measured_ = false;
  time_point last_{};
  seconds smoothed_{0};
  seconds variation_{0};
  seconds shortest_{0};
  time_point shortest_since_{};
};

/// Bytes per second that a link delivers. A faster sample counts at once, a slower one only where the link was busy: an
/// application that sends little says nothing about the link.
class delivery_rate {
public:
  explicit delivery_rate(double assumed) : rate_(assumed) {}

  void sample(std::uint64_t delivered, seconds took, bool busy) {
    const double rate = static_cast<double>(delivered) / std::max(took.count(), 1e-4);
    if (rate > rate_ || (busy && !measured_))
      rate_ = rate;
    else if (busy)
      rate_ += (rate - rate_) / 4;
    measured_ = measured_ || busy;
  }
  double rate() const noexcept { return rate_; }
  seconds time_for(std::uint64_t bytes) const { return seconds(static_cast<double>(bytes) / rate_); }

private:
  double rate_;
  bool measured_ = false;
};

/// What TCP lets be under way at once. A connection that is new, or was idle, sends ten segments and waits for a round
/// trip; what is acknowledged lets as much again go (slow start, RFC 5681 and 6928). It does not grow beyond twice what
/// was ever on its way (RFC 7661).
class send_window {
public:
  void restart() { *this = {}; }
  void sent(std::uint64_t in_flight) { most_ = std::max(most_, in_flight); }
  void delivered(std::uint64_t bytes) { size_ = std::min(size_ + bytes, std::max(first, 2 * most_)); }
  /// Round trips until the last of n bytes may go.
  double rounds(std::uint64_t n) const {
    return n <= size_ ? 0 : std::ceil(std::log2(static_cast<double>(n) / static_cast<double>(size_) + 1)) - 1;
  }

private:
  static constexpr std::uint64_t first = 14'000;

  std::uint64_t size_ = first;
  std::uint64_t most_ = 0;
};

} // namespace holdfast::link
