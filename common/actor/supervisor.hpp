#pragma once

#include <caf/fwd.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace holdfast::actor {

/// Restart kinds and strategies as in OTP's supervisor.
enum class restart { permanent, transient, temporary };
enum class strategy { one_for_one, rest_for_one };

/// One child. `start` runs in the supervisor; a null handle or an exception counts as a failed start.
struct child_spec {
  std::string id;
  std::function<caf::actor(caf::actor_system&)> start;
  restart policy = restart::permanent;
  std::chrono::milliseconds grace{2000};  ///< between the request to stop and the kill
};

struct supervisor_options {
  strategy how = strategy::one_for_one;
  std::size_t intensity = 5;                 ///< more restarts than this ...
  std::chrono::milliseconds period{60000};   ///< ... within this ends the supervisor, and its parent decides
  std::chrono::milliseconds backoff_first{10};
  std::chrono::milliseconds backoff_cap{5000};
  bool stop_together = false;                ///< the last stop: all children at once, each with its grace
};

/// What happened to a child, for log and metrics; runs in the supervisor.
struct supervision_event {
  std::string child;
  std::string what;  // "started", "restarting", "gave up"
  std::string reason;
  std::chrono::milliseconds wait{0};
};
using supervision_listener = std::function<void(const supervision_event&)>;

/// Starts the children in list order, restarts what fails (one-for-one, or that child and all after it), stops them in
/// reverse order when it is told to exit: each when the one before it is gone, or all together. When the restart
/// intensity is exceeded it stops all and ends with an error.
caf::actor spawn_supervisor(caf::actor_system& system, std::string name, supervisor_options options,
                            std::vector<child_spec> children, supervision_listener listener = {});

} // namespace holdfast::actor
