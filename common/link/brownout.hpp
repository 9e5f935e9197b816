#pragma once

#include "common/link/profile.hpp"

#include <array>
#include <cstdint>
#include <string>

namespace holdfast::link {

/// Whether packets are lost more often than they should be: Wald's sequential probability ratio test between two rates
/// of loss, begun anew whenever it speaks for the good one (Page's form). It finds 5 % in some 150 to 200 packets; a
/// fixed window of the same certainty takes longer. A single burst is no brownout: what one piece of time adds is
/// limited.
class loss_test {
public:
  explicit loss_test(loss_settings settings);

  void packets(std::uint64_t sent, std::uint64_t lost, time_point now);
  bool degraded() const noexcept { return degraded_; }
  /// Share of late, for people.
  double loss() const noexcept { return loss_; }

private:
  bool decided(time_point now) const;

  loss_settings settings_;
  double per_loss_;
  double per_arrival_;      // negative
  double evidence_ = 0;     // for a change of state; never below 0
  double piece_base_ = 0;   // at the beginning of this piece of time
  time_point piece_since_{};
  std::uint64_t clean_ = 0;  // packets since the last loss
  time_point last_loss_{};
  bool degraded_ = false;
  double loss_ = 0;
};

/// Whether the round trip, window by window, left a baseline that was learned: its p95, or its median where jitter that
/// stayed as it was hides the change. It learns slowly, but takes the lowest window of its first minute, and never
/// learns while degraded or from a window that looks bad.
class delay_test {
public:
  explicit delay_test(delay_settings settings) : settings_(settings) {}

  /// True when this sample closed a window.
  bool sample(clock::duration round_trip, time_point now);
  bool degraded() const noexcept { return degraded_; }
  /// The last window would let a degraded link leave.
  bool calm() const { return calm(*this); }
  /// ... where this is what is usual.
  bool calm(const delay_test& usual) const;
  void forgive() {
    degraded_ = false;
    in_a_row_ = 0;
  }
  seconds p95() const noexcept { return seconds(p95_.now); }
  seconds baseline() const noexcept { return seconds(p95_.usual); }
  /// What the last window was like, for people.
  std::string text() const;
  time_point window_began() const noexcept { return since_; }

private:
  static constexpr std::size_t per_octave = 16;  // about 4 %
  static constexpr double shortest = 10e-6;      // seconds
  static constexpr std::size_t octaves = 24;     // up to 160 s

  struct level {
    double now = 0;    // seconds, of the last window
    double usual = 0;  // 0: not learned
  };

  void judge(seconds width);
  bool bad(const level& l) const;
  void learn(level& l, seconds width) const;
  double quantile(double share) const;

  delay_settings settings_;
  std::array<std::uint32_t, per_octave * octaves> counts_{};
  std::uint32_t count_ = 0;
  time_point since_{};         // of the window
  level median_;
  level p95_;
  seconds learned_{0};         // from windows of so much time
  unsigned in_a_row_ = 0;      // windows that ask for the other state
  bool degraded_ = false;
};

/// A link that works badly: loss, or a round trip that grew. Acknowledgements of data, which wait for the collector's
/// disk, and answers to probes, which do not, have a baseline each.
class brownout {
public:
  brownout(loss_settings loss, delay_settings delay)
      : delay_(delay), loss_(loss), data_(delay), probes_(delay) {}

  void data_round_trip(clock::duration round_trip, time_point now);
  void probe_round_trip(clock::duration round_trip, time_point now);
  void packets(std::uint64_t sent, std::uint64_t lost, time_point now) { loss_.packets(sent, lost, now); }

  bool degraded() const { return loss_.degraded() || data_.degraded() || probes_.degraded(); }
  /// Why, for people; empty when it is not.
  std::string cause() const;
  double loss() const noexcept { return loss_.loss(); }
  const delay_test& data() const noexcept { return data_; }
  const delay_test& probes() const noexcept { return probes_; }

private:
  delay_settings delay_;
  loss_test loss_;
  delay_test data_;
  delay_test probes_;
  time_point last_window_{};  // of data
  unsigned calm_ = 0;         // windows of probes since then
};

} // namespace holdfast::link
