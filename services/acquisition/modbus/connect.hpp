#pragma once

// A TCP connection for a thread of its own: names are resolved and connections made without ever blocking for longer
// than the caller's patience.

#include "common/config/config.hpp"

#include <chrono>
#include <functional>
#include <string>

namespace holdfast::acquisition::modbus {

/// A socket, or why there is none.
struct connection {
  int socket = -1;
  std::string problem;
};

/// Connects with TCP_NODELAY, keepalive and a user timeout; the socket is non-blocking. `wait` is called every 50 ms
/// and ends the attempt by returning false.
connection connect_tcp(const config::endpoint& to, std::chrono::milliseconds limit, const std::function<bool()>& wait);

} // namespace holdfast::acquisition::modbus
