// What each message of the contract changes in the fleet. All strings are UTF-8: Protobuf refuses others.

#include "services/health/fleet.hpp"

#include "holdfast/v1/control.pb.h"
#include "holdfast/v1/events.pb.h"
#include "services/health/bounded.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::health {

namespace {

constexpr int metric_limit = 10000;

template <class M> bool parse(M& out, const blob& b) { return out.ParseFromArray(b.data(), static_cast<int>(b.size())); }

milliseconds millis(std::uint64_t n) { return milliseconds(static_cast<std::int64_t>(std::min(n, UINT64_MAX / 4))); }

std::vector<loop_age> ages(const google::protobuf::RepeatedPtrField<v1::LoopAge>& loops) {
  std::vector<loop_age> out;
  for (auto& l : loops)
    if (out.size() < entry_limit)
      out.push_back({cut(l.name()), millis(l.age_millis()), millis(l.limit_millis())});
  return out;
}

const char* text(v1::Severity s) {
  switch (s) {
    case v1::SEVERITY_INFO: return "info";
    case v1::SEVERITY_WARNING: return "warning";
    default: return "critical";
  }
}

std::string with_reason(std::string text, const std::string& reason) {
  return reason.empty() ? text : text + ": " + reason;
}

} // namespace

bool fleet::dispatch(instance& i, const std::string& type, const blob& payload, instant now) {
  const auto as = [&](auto message) {
    if (!parse(message, payload))
      return false;
    on(i, message, now);
    return true;
  };
  if (type == "holdfast.v1.Heartbeat")
    return as(v1::Heartbeat{});
  if (type == "holdfast.v1.StateChange")
    return as(v1::StateChange{});
  if (type == "holdfast.v1.Alarm")
    return as(v1::Alarm{});
  if (type == "holdfast.v1.ProcessEvent")
    return as(v1::ProcessEvent{});
  if (type != "holdfast.v1.Metrics")
    return false;
  auto all = std::make_shared<v1::Metrics>();
  if (!parse(*all, payload) || all->metrics_size() > metric_limit)
    return false;
  i.metrics = std::move(all);
  return true;
}

void fleet::on(instance& i, const v1::Heartbeat& m, instant now) {
  i.heard = true;
  i.ended = m.state().starts_with("stopping");
  i.last_heartbeat = now.monotonic;
  i.pid = m.pid();
  i.uptime = millis(m.uptime_millis());
  i.version = cut(m.version());
  i.state = cut(m.state());
  i.loops = ages(m.loops());
}

void fleet::on(instance& i, const v1::StateChange& m, instant now) {
  if (auto* c = place(i.components, m.component()))
    *c = {cut(m.to()), cut(m.reason()), now.monotonic};
  const auto from = m.from().empty() ? "-" : m.from();
  note(now, i.name, "state", with_reason(fmt::format("{} {} -> {}", m.component(), from, m.to()), m.reason()));
}

void fleet::on(instance& i, const v1::Alarm& m, instant now) {
  if (!m.raised())
    i.alarms.erase(cut(m.name()));
  else if (auto* a = place(i.alarms, m.name()))
    *a = {text(m.severity()), cut(m.text()), now.unix_millis};
  note(now, i.name, "alarm", with_reason(m.name() + (m.raised() ? " raised" : " cleared"), m.text()));
}

// The watchdog speaks about others: the event belongs to the instance it names.
void fleet::on(instance& teller, const v1::ProcessEvent& m, instant now) {
  if (auto* i = find(m.process())) {
    i->ended = m.what() == "stopped";
    i->process = process_note{cut(m.what()), cut(m.reason()), now.unix_millis, m.exit_code(), m.signal(), m.restarts()};
  }
  note(now, teller.name, "process", with_reason(fmt::format("{} {} pid={}", m.process(), m.what(), m.pid()), m.reason()));
}

bool fleet::take_status(std::span<const blob> parts, instant now) {
  v1::ControlReply reply;
  const bool readable = parts.size() == 1 && parse(reply, parts[0]) && reply.ok();
  auto* i = readable ? find(reply.status().instance()) : nullptr;
  if (i == nullptr || i->self) {
    ++now_.unattributed;
    return false;
  }
  i->components.clear();
  for (auto& c : reply.status().components())
    if (auto* entry = place(i->components, c.name()))
      *entry = {cut(c.state()), cut(c.detail()), now.monotonic - millis(c.since_millis())};
  i->status_stale = false;
  i->status_taken = now.monotonic;
  return true;
}

} // namespace holdfast::health
