#pragma once

#include "common/service/runtime.hpp"
#include "services/watchdog/liveness.hpp"
#include "services/watchdog/service_table.hpp"

#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace holdfast::watchdog {

/// The latest heartbeat of each service, from the bus thread to an actor that looks now and then: many services beat,
/// but few heartbeats say anything new. Any thread.
class heartbeat_inbox {
public:
  struct arrival {
    std::size_t service;
    heartbeat beat;
    time_point at;
  };
  /// True when it should be looked at soon: the first of a life, or one with an overdue loop.
  bool put(arrival a);
  std::vector<arrival> take();

private:
  std::mutex mutex_;
  std::map<std::size_t, arrival> latest_;               // guarded by mutex_
  std::map<std::size_t, std::uint64_t> incarnations_;   // guarded by mutex_
};

/// Subscribes to the heartbeats of these services. `on_beat` runs in the bus thread. Before runtime::start().
void take_heartbeats(service::runtime& rt, const std::vector<service_entry>& table,
                     std::function<void(heartbeat_inbox::arrival)> on_beat);

/// How this process itself does: while its own threads are late it must not judge others, nor claim to be well.
struct own_pace {
  bool fit = true;        ///< every loop is within its limit
  bool judgeable = true;  ///< heartbeats that were sent have been received
};
own_pace check_own_pace(service::runtime& rt);

} // namespace holdfast::watchdog
