#pragma once

#include <cstdint>

namespace holdfast::net {

/// What the kernel says about the way to the other end of a TCP connection.
struct path_figures {
  std::uint64_t acknowledged = 0;  ///< bytes that the other end's kernel has, since the connection was made
  bool waiting = false;            ///< more bytes wait to be sent or acknowledged
  std::uint64_t delivered = 0;     ///< segments that the other end has, also those beyond a hole
};

/// Zeros where the kernel does not tell (before Linux 4.6; `delivered` before 4.19).
path_figures read_path(int socket);

} // namespace holdfast::net
