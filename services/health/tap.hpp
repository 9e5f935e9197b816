#pragma once

#include "common/bus/loop.hpp"

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

namespace holdfast {
class metrics;
}

namespace holdfast::health {

/// What operators may say through the tap: subscriptions, and not too many. Everything else stops here, so that a tap
/// reads and never writes.
class tap_gate {
public:
  static constexpr std::size_t frame_limit = 256;
  static constexpr std::size_t topic_limit = 1000;

  enum class verdict { forward, known, refused };
  /// One frame from the tap's side.
  verdict judge(std::string_view frame);
  std::size_t topics() const noexcept { return topics_.size(); }

private:
  std::set<std::string, std::less<>> topics_;
};

struct tap_options {
  std::string bind;
  std::size_t queue = 10000;       ///< messages kept for a slow tap; then it loses its own
  std::size_t max_message = 0;     ///< bytes of the largest record batch
};

/// Opens the forwarder: all that publishers send goes to the taps unchanged, subscriptions go the other way. Before the
/// loop starts. Returns the socket to be connected to the publishers.
bus::loop::socket open_tap(bus::loop& loop, holdfast::metrics& metrics, const tap_options& options);

} // namespace holdfast::health
