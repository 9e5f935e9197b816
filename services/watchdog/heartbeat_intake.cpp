#include "services/watchdog/heartbeat_intake.hpp"

#include "common/telemetry/log.hpp"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/events.pb.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

namespace holdfast::watchdog {

namespace {

// The bus thread beats four times a second; later than this it has missed a turn.
constexpr milliseconds tolerated_bus_delay{500};
// Two loops of each of config::most_sources, with the longest names, take a fifth of it.
constexpr std::size_t max_heartbeat = 1024 * 1024;

milliseconds to_millis(std::uint64_t n) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
  return milliseconds(static_cast<std::int64_t>(std::min(n, most)));
}

template <class Message> bool parse(const blob& part, Message& out) {
  return out.ParseFromArray(part.data(), static_cast<int>(part.size()));
}

// The sender's instance and its heartbeat; nothing when the message is none.
std::optional<std::pair<std::string, heartbeat>> decode(const bus::message& m) {
  v1::Envelope envelope;
  v1::Heartbeat beat;
  if (m.parts.size() != 3 || !parse(m.parts[1], envelope) || !parse(m.parts[2], beat))
    return std::nullopt;
  heartbeat h{.pid = beat.pid(), .incarnation = envelope.incarnation(), .loops = {}};
  for (auto& l : beat.loops())
    h.loops.push_back({l.name(), to_millis(l.age_millis()), to_millis(l.limit_millis())});
  return std::pair{envelope.instance(), std::move(h)};
}

} // namespace

bool heartbeat_inbox::put(arrival a) {
  const bool overdue = !overdue_loop(a.beat).empty();
  const auto service = a.service;
  std::lock_guard lock(mutex_);
  const auto before = std::exchange(incarnations_[service], a.beat.incarnation);
  const bool first = before != a.beat.incarnation;
  latest_.insert_or_assign(service, std::move(a));
  return overdue || first;
}

std::vector<heartbeat_inbox::arrival> heartbeat_inbox::take() {
  std::vector<arrival> out;
  std::lock_guard lock(mutex_);
  for (auto& [service, a] : latest_)
    out.push_back(std::move(a));
  latest_.clear();
  return out;
}

void take_heartbeats(service::runtime& rt, const std::vector<service_entry>& table,
                     std::function<void(heartbeat_inbox::arrival)> on_beat) {
  bus::socket_options options;
  options.kind = bus::socket_kind::sub;
  options.name = "heartbeats";
  options.subscribe = {"heartbeat."};
  options.max_message = max_heartbeat;
  std::map<std::string, std::size_t> numbers;
  for (auto& s : table) {
    numbers.emplace(s.name, numbers.size());
    options.connect.push_back(rt.address("events." + s.name));
  }
  rt.bus().open(std::move(options), [numbers, on_beat = std::move(on_beat)](bus::message&& m) {
    auto decoded = decode(m);
    if (!decoded)
      return log::debug("malformed heartbeat parts={}", m.parts.size());
    if (const auto known = numbers.find(decoded->first); known != numbers.end())
      on_beat({known->second, std::move(decoded->second), std::chrono::steady_clock::now()});
  });
}

own_pace check_own_pace(service::runtime& rt) {
  own_pace out;
  const auto tolerated = std::max(rt.config().watchdog.limit / 2, tolerated_bus_delay);
  for (auto& l : rt.pulse().loops()) {
    const auto age = l->age();
    out.fit = out.fit && age <= l->limit();
    out.judgeable = out.judgeable && age <= tolerated;
  }
  return out;
}

} // namespace holdfast::watchdog
