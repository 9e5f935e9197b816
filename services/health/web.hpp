#pragma once

#include "services/health/fleet.hpp"

#include "common/config/config.hpp"
#include "common/telemetry/metrics.hpp"
#include "common/telemetry/pulse.hpp"

#include <functional>
#include <memory>

namespace holdfast::health {

/// What one reader may cost.
struct web_limits {
  std::size_t connections = 64;
  std::size_t request_bytes = 8192;
  milliseconds timeout{5000};   ///< to send a whole request, to take a whole answer, and idle between two
  milliseconds patience{2000};  ///< for MONITOR's answer; then 503
  milliseconds fresh{500};      ///< so long one picture serves all: a picture is rendered once, however many ask
};

/// GET and HEAD of /, /status.json, /metrics and /healthz, in a thread of its own with low priority. It asks for a
/// picture through `want` and gets it by show(); nobody waits for this thread, and it waits for nobody.
class web_server {
public:
  /// Throws std::runtime_error "failed to listen at ADDRESS: cause".
  web_server(const config::endpoint& listen, pulse& p, metrics& m, std::function<void()> want, web_limits limits = {});
  ~web_server();
  web_server(const web_server&) = delete;
  web_server& operator=(const web_server&) = delete;

  void show(picture_ptr p);  ///< any thread
  std::uint16_t port() const noexcept;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace holdfast::health
