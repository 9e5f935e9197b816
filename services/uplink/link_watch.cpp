#include "services/uplink/link_watch.hpp"

#include "holdfast/v1/dispatch.pb.h"

#include <algorithm>
#include <utility>

namespace holdfast::uplink {

namespace {

v1::LinkStatus::Health to_message(link::health h) {
  static_assert(static_cast<int>(link::health::circuit_open) == v1::LinkStatus::HEALTH_CIRCUIT_OPEN);
  return static_cast<v1::LinkStatus::Health>(h);  // the same names in the same order
}

// A capped link is not assumed to be faster than its cap.
link::profile profile_of(const config::link& l) {
  auto p = l.tuning;
  if (l.bandwidth.count > 0)
    p.monitor.assumed_rate = std::min(p.monitor.assumed_rate, static_cast<double>(l.bandwidth.count));
  return p;
}

std::uint64_t micros(link::seconds s) { return static_cast<std::uint64_t>(std::max(s.count(), 0.0) * 1e6); }

} // namespace

link_watch::link_watch(const config::link& l)
    : monitor_(profile_of(l)), breaker_(l.tuning.breaker), grace_(l.tuning.monitor.failover) {}

void link_watch::opened(time_point now) {
  sent_.clear();
  give_up_at_.reset();
  standing_ = true;
  breaker_.succeeded(now);
  proofs_ = monitor_.proofs();
  monitor_.opened(now);
}

void link_watch::closed(const std::string& cause, bool counts, time_point now) {
  sent_.clear();
  // Without carrier or route the other end was not even asked.
  if (!standing_ && counts && carrier_ && route_)
    breaker_.failed(now);
  standing_ = false;
  give_up_at_.reset();
  earlier_wire_ += std::exchange(wire_, 0);
  monitor_.closed(cause, now);
}

// Kept full by backlog: more is on its way already than the link itself holds, so this batch measures our own queue.
void link_watch::sent(const std::string& record_class, std::uint64_t first, std::uint64_t bytes, bool historical,
                      time_point now) {
  if (!sent_[record_class].emplace(first, last_id_ + 1).second)
    return;
  const auto held = monitor_.rate() * monitor_.round_trip().shortest().count();
  const bool loaded = historical && static_cast<double>(monitor_.in_flight()) > held;
  monitor_.sent(++last_id_, bytes, now, loaded);
}

void link_watch::answered(const std::string& record_class, std::uint64_t first, std::uint64_t last, time_point now) {
  auto& waiting = sent_[record_class];
  const auto begin = waiting.lower_bound(first);
  const auto end = waiting.upper_bound(last);
  std::vector<std::uint64_t> ids;
  for (auto at = begin; at != end; ++at)
    ids.push_back(at->second);
  waiting.erase(begin, end);
  std::sort(ids.begin(), ids.end());
  for (auto id : ids)
    monitor_.acknowledged(id, now);
}

bool link_watch::pong(std::uint64_t id, time_point now) {
  if ((id & ours) == 0)
    return false;
  monitor_.probe_answered(id & ~ours, now);
  return true;
}

void link_watch::path(const net::path_figures& f, time_point now) {
  wire_ = std::max(wire_, f.wire_bytes);
  if (standing_)
    monitor_.tcp({f.acknowledged, f.delivered, f.data_segments, f.retransmits, f.round_trip, f.variation}, now);
}

void link_watch::kernel(bool carrier, bool route, time_point now) {
  if (std::exchange(carrier_, carrier) != carrier)
    monitor_.carrier(carrier, now);
  if (std::exchange(route_, route) != route)
    monitor_.route(route, now);
}

link::health link_watch::health(time_point now) const {
  if (!standing_ && breaker_.state(now) == link::breaker_state::open)
    return link::health::circuit_open;
  return monitor_.health();
}

std::optional<link_watch::time_point> link_watch::next_deadline() const {
  const auto judge = monitor_.next_deadline();
  return judge && give_up_at_ ? std::min(judge, give_up_at_) : judge ? judge : give_up_at_;
}

link_watch::outcome link_watch::take(time_point now) {
  outcome out;
  for (auto& a : monitor_.take()) {
    if (a.what == link::monitor::action::type::probe) {
      out.pings.push_back(a.probe | ours);
      continue;
    }
    out.changed = true;
    cause_ = std::move(a.cause);
    suspicions_ += a.to == link::health::suspect ? 1 : 0;
    give_up_at_.reset();
    if (a.to != link::health::down)
      continue;
    sent_.clear();  // as the monitor does: what comes again is waited for anew
    if (standing_)
      give_up_at_ = now + grace_;
  }
  if (give_up_at_ && now >= *give_up_at_) {
    out.give_up = true;
    give_up_at_.reset();
  }
  // Half open: what the session carries is the rest of the trials.
  for (; proofs_ < monitor_.proofs(); ++proofs_)
    if (standing_ && breaker_.state(now) == link::breaker_state::half_open)
      breaker_.succeeded(now);
  const auto is = health(now);
  out.changed = std::exchange(told_, is) != is || out.changed;
  return out;
}

void link_watch::describe(v1::LinkStatus& out, time_point now) const {
  out.set_health(to_message(health(now)));
  out.set_cause(cause_);
  if (monitor_.round_trip().measured()) {
    out.set_round_trip_micros(std::max<std::uint64_t>(micros(monitor_.round_trip().smoothed()), 1));
    out.set_variation_micros(micros(monitor_.round_trip().variation()));
  }
  out.set_loss(monitor_.brownout().loss());
  out.set_proofs(monitor_.proofs());
  out.set_wire_bytes(wire_bytes());
  out.set_breaker(to_string(breaker_.state(now)));
}

} // namespace holdfast::uplink
