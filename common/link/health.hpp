#pragma once

namespace holdfast::link {

/// What a link's uplink knows of it. The route supervisor adds what it does with it: standby, active, drained.
enum class health {
  connecting,
  up,
  degraded,      ///< works badly
  suspect,       ///< an acknowledgement is overdue, probes are asking
  down,
  circuit_open,  ///< the breaker lets nothing through
};

constexpr const char* to_string(health h) {
  constexpr const char* names[] = {"connecting", "up", "degraded", "suspect", "down", "circuit open"};
  return names[static_cast<int>(h)];
}

/// There is a session that can carry data.
constexpr bool carries(health h) { return h == health::up || h == health::degraded || h == health::suspect; }

} // namespace holdfast::link
