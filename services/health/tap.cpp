#include "services/health/tap.hpp"

#include "common/telemetry/metrics.hpp"

#include <algorithm>
#include <limits>
#include <memory>

namespace holdfast::health {

tap_gate::verdict tap_gate::judge(std::string_view frame) {
  if (frame.empty() || frame.size() > frame_limit || (frame[0] != 0 && frame[0] != 1))
    return verdict::refused;
  const auto topic = frame.substr(1);
  const auto it = topics_.find(topic);
  if (frame[0] == 0) {
    // ZeroMQ also takes back, when a tap leaves, what we refused to ask for.
    if (it == topics_.end())
      return verdict::known;
    topics_.erase(it);
    return verdict::forward;
  }
  if (it != topics_.end())
    return verdict::known;
  if (topics_.size() >= topic_limit)
    return verdict::refused;
  topics_.emplace(topic);
  return verdict::forward;
}

bus::loop::socket open_tap(bus::loop& loop, holdfast::metrics& metrics, const tap_options& options) {
  const auto queue = static_cast<int>(std::min<std::size_t>(options.queue, std::numeric_limits<int>::max()));
  auto& refused = metrics.counter("holdfast_tap_refused_total", "Messages from taps that were no allowed subscription");
  auto& forwarded = metrics.counter("holdfast_tap_messages_total", "Messages handed on to taps");
  auto& topics = metrics.gauge("holdfast_tap_topics", "Topics that taps have subscribed to");

  bus::socket_options inner;
  inner.kind = bus::socket_kind::xsub;
  inner.name = "tap's publishers";
  inner.queue = queue;
  inner.max_message = options.max_message;
  bus::socket_options outer;
  outer.kind = bus::socket_kind::xpub;
  outer.name = "tap";
  outer.bind = options.bind;
  outer.queue = queue;
  // Above the gate's limit: what is a little too long is counted, what is far too long ends the tap's connection.
  outer.max_message = 1024;

  // Each of the two handlers needs the other's socket; both run in the loop's thread.
  auto taps = std::make_shared<bus::loop::socket>();
  const auto publishers = loop.open(std::move(inner), [&loop, &forwarded, taps](bus::message&& m) {
    forwarded.add();
    loop.send(*taps, std::move(m));
  });
  *taps = loop.open(std::move(outer), [&loop, &refused, &topics, publishers, gate = tap_gate{}](bus::message&& m) mutable {
    const auto v = m.parts.size() == 1 ? gate.judge(m.parts[0].view()) : tap_gate::verdict::refused;
    topics.set(static_cast<double>(gate.topics()));
    if (v == tap_gate::verdict::forward)
      loop.send(publishers, std::move(m));
    else if (v == tap_gate::verdict::refused)
      refused.add();
  });
  return publishers;
}

} // namespace holdfast::health
