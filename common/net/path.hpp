#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast::net {

/// What the kernel says about the way to the other end of a TCP connection (TCP_INFO), since the connection was made.
struct path_figures {
  std::uint64_t acknowledged = 0;  ///< bytes that the other end's kernel has
  bool waiting = false;            ///< more bytes wait to be sent or acknowledged
  std::uint64_t delivered = 0;     ///< segments that the other end has, also those beyond a hole
  std::uint64_t data_segments = 0; ///< sent, again ones included
  std::uint64_t retransmits = 0;
  std::chrono::microseconds round_trip{0};
  std::chrono::microseconds variation{0};  ///< of the round trip
  /// Bytes on the wire, both ways, again ones and headers included.
  std::uint64_t wire_bytes = 0;
};

/// Zeros where the kernel does not tell (before Linux 4.6; single figures before 4.19).
path_figures read_path(int socket);

} // namespace holdfast::net
