#pragma once

// What one direction of a link does to packets. Pure: time is passed in, and randomness is seeded.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>

namespace holdfast::lab {

using clock = std::chrono::steady_clock;
using std::chrono::microseconds;

enum class cut { none, all, data };

struct conditions {
  microseconds delay{0};
  microseconds jitter{0};       ///< the delay wanders between delay - jitter and delay + jitter
  double loss = 0;              ///< share of packets, each for itself
  double rate = 0;              ///< bytes per second; 0: any
  double queue = 256 << 10;     ///< bytes that wait for the rate; what finds it full is dropped
  cut cut_off = cut::none;      ///< all: a black hole; data: TCP packets with a payload only
  bool reorder = false;         ///< each packet draws its own jitter, and may overtake
};

struct counts {
  std::uint64_t packets = 0, bytes = 0;               ///< that came
  std::uint64_t lost = 0, cut_off = 0, overflow = 0;  ///< that went no further
};

/// Whether a packet carries TCP payload. IPv4 and no fragments: nothing else is on these links.
inline bool carries_data(std::span<const std::byte> p) {
  const auto at = [&](std::size_t i) { return i < p.size() ? std::to_integer<std::size_t>(p[i]) : 0; };
  const std::size_t ip = (at(0) & 15) * 4, total = at(2) << 8 | at(3), tcp = (at(ip + 12) >> 4) * 4;
  return at(0) >> 4 == 4 && at(9) == 6 && total > ip + tcp;
}

class path {
public:
  explicit path(std::uint64_t seed) : dice_(seed) {}

  conditions now;
  counts seen;

  /// When this packet comes out at the other end; nothing: it does not.
  std::optional<clock::time_point> take(std::span<const std::byte> packet, clock::time_point at) {
    ++seen.packets;
    seen.bytes += packet.size();
    if (now.cut_off == cut::all || (now.cut_off == cut::data && carries_data(packet))) {
      ++seen.cut_off;
      return {};
    }
    if (now.loss > 0 && share_(dice_) < now.loss) {
      ++seen.lost;
      return {};
    }
    if (now.rate > 0) {
      const std::chrono::duration<double> waiting = std::max(free_, at) - at;
      if (waiting.count() * now.rate + static_cast<double>(packet.size()) > now.queue) {
        ++seen.overflow;
        return {};
      }
      at = free_ = std::max(free_, at) + ticks(static_cast<double>(packet.size()) / now.rate);
    }
    if (now.reorder)
      return at + now.delay + ticks(seconds(now.jitter) * (2 * share_(dice_) - 1));
    last_ = std::max(last_, at + now.delay + ticks(seconds(now.jitter) * wander(at)));
    return last_;
  }

private:
  static clock::duration ticks(double s) {
    return std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(s));
  }
  static double seconds(microseconds d) { return std::chrono::duration<double>(d).count(); }

  /// Goes straight from one random point of [-1, 1] to the next, slower than time passes: jitter drawn for each packet
  /// and kept in order would hold every packet back to the latest one, and so be the longest delay all the time.
  double wander(clock::time_point at) {
    const clock::duration step = std::max<clock::duration>(4 * now.jitter, std::chrono::milliseconds(10));
    if (at >= turn_ + 2 * step)
      turn_ = at - step;
    while (at >= turn_ + step) {
      turn_ += step;
      from_ = to_;
      to_ = 2 * share_(dice_) - 1;
    }
    return from_ + (to_ - from_) * std::chrono::duration<double>(at - turn_) / std::chrono::duration<double>(step);
  }

  std::mt19937_64 dice_;
  std::uniform_real_distribution<double> share_;
  clock::time_point free_;    // when the last packet has left the queue
  clock::time_point last_;    // when the last packet comes out
  clock::time_point turn_;
  double from_ = 0, to_ = 0;
};

} // namespace holdfast::lab
