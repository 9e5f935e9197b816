#include "services/uplink/heartbeat.hpp"

#include <algorithm>

namespace holdfast::uplink {

void heartbeat::opened(clock::time_point now) {
  last_heard_ = now;
  last_carried_ = now;
  acknowledged_ = 0;
  delivered_ = 0;
  last_ping_ = now;
}

std::optional<std::uint64_t> heartbeat::ping_due(clock::time_point now) {
  if (now - std::max(last_ping_, last_heard_) < interval_)
    return std::nullopt;
  last_ping_ = now;
  return ++id_;
}

void heartbeat::carried(const net::path_figures& path, clock::time_point now) {
  if (path.waiting && (path.acknowledged > acknowledged_ || path.delivered > delivered_))
    last_carried_ = now;
  acknowledged_ = path.acknowledged;
  delivered_ = path.delivered;
}

bool heartbeat::overdue(clock::time_point since, std::chrono::milliseconds allowed, clock::time_point now) const {
  const auto silence = now - since;
  return silence > patience * allowed || (silence > allowed && now - last_carried_ > timeout_);
}

} // namespace holdfast::uplink
