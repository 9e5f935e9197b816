#include "services/uplink/heartbeat.hpp"

namespace holdfast::uplink {

void heartbeat::opened(clock::time_point now) {
  last_heard_ = now;
  last_carried_ = now;
  acknowledged_ = 0;
  delivered_ = 0;
  last_ping_ = now - interval_;  // the first round trip is measured at once
  measured_ = false;
  smoothed_ = variation_ = {};
}

std::optional<std::uint64_t> heartbeat::ping_due(clock::time_point now) {
  if (now - last_ping_ < interval_)
    return std::nullopt;
  last_ping_ = now;
  return ++id_;
}

void heartbeat::pong(std::uint64_t id, clock::time_point now) {
  if (id != id_)
    return;
  const std::chrono::duration<double> sample = now - last_ping_;
  if (!measured_) {
    measured_ = true;
    smoothed_ = sample;
    variation_ = sample / 2;
    return;
  }
  const auto distance = smoothed_ > sample ? smoothed_ - sample : sample - smoothed_;
  variation_ = variation_ * 0.75 + distance * 0.25;
  smoothed_ = smoothed_ * 0.875 + sample * 0.125;
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
