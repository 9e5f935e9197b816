// What runtime does in the bus thread: heartbeats, control requests, who subscribes to records.

#include "common/service/runtime_impl.hpp"

#include "common/telemetry/log.hpp"

#include <csignal>
#include <unistd.h>

namespace holdfast::service {

namespace {
constexpr std::size_t max_subscriptions = 4096;

v1::ControlReply failure(const std::string& error) {
  v1::ControlReply reply;
  reply.set_error(error);
  return reply;
}
} // namespace

void runtime::impl::on_subscription(bus::message&& m) {
  if (m.parts.size() != 1 || m.parts[0].empty())
    return;
  const auto text = m.parts[0].view();
  const std::string topic(text.substr(1));
  if (text[0] == 1 && subscriptions.size() < max_subscriptions)
    subscriptions.insert(topic);
  else if (text[0] == 0)
    subscriptions.erase(topic);
  bool wanted = false;
  for (auto& t : subscriptions)
    wanted = wanted || t.starts_with("record.") || std::string_view("record.").starts_with(t);
  records_wanted = wanted;
}

void runtime::impl::on_control(bus::message&& m) {
  v1::ControlRequest request;
  const bool understood =
    m.parts.size() == 1 && request.ParseFromArray(m.parts[0].data(), static_cast<int>(m.parts[0].size()));
  const auto answer = [this, peer = m.peer, id = understood ? request.id() : 0](v1::ControlReply reply) {
    reply.set_id(id);
    bus.send(control, {peer, {encode(reply)}});
  };
  if (understood)
    return serve(request, answer);
  if (malformed.due() > 0)
    log::warn("malformed control request peer_bytes={} parts={}", m.peer.size(), m.parts.size());
  answer(failure("failed to read request: not a holdfast.v1.ControlRequest"));
}

void runtime::impl::serve(const v1::ControlRequest& request, const control_answer& answer) {
  v1::ControlReply reply;
  reply.set_ok(true);
  switch (request.request_case()) {
    case v1::ControlRequest::kStatus:
      fill_status(*reply.mutable_status());
      break;
    case v1::ControlRequest::kLogLevel: {
      log::level l{};
      if (!log::parse(request.log_level().level(), l))
        return answer(failure("failed to set log level: use trace, debug, info, warn, error or off"));
      log::set_level(l);
      break;
    }
    case v1::ControlRequest::kStop:
      ::kill(::getpid(), SIGTERM);
      break;
    default:
      if (!extra || !extra(request, answer))
        answer(failure(fmt::format("failed to serve request: {} does not know it", instance)));
      return;
  }
  answer(reply);
}

template <class Ages> void runtime::impl::fill_loops(Ages* out) {
  for (auto& l : pulse.loops()) {
    auto& age = *out->Add();
    age.set_name(l->name());
    age.set_age_millis(static_cast<std::uint64_t>(std::max<std::int64_t>(l->age().count(), 0)));
    age.set_limit_millis(static_cast<std::uint64_t>(l->limit().count()));
  }
}

void runtime::impl::fill_status(v1::StatusReply& status) {
  status.set_service(service);
  status.set_instance(instance);
  status.set_pid(::getpid());
  status.set_version(HOLDFAST_VERSION);
  status.set_uptime_millis(uptime_millis());
  status.set_state(state());
  fill_loops(status.mutable_loops());
  v1::Metrics all;
  metrics.snapshot(all);
  status.mutable_metrics()->Swap(all.mutable_metrics());
  std::lock_guard lock(mutex);
  for (auto& [name, a] : alarms)
    *status.add_alarms() = a;
  for (auto& [name, c] : components) {
    auto& out = *status.add_components();
    out.set_name(name);
    out.set_state(c.state);
    out.set_detail(c.detail);
    const auto age = std::chrono::steady_clock::now() - c.since;
    out.set_since_millis(
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(age).count()));
  }
}

void runtime::impl::beat(runtime& owner) {
  bus_pulse->beat();
  v1::Heartbeat h;
  h.set_pid(::getpid());
  h.set_uptime_millis(uptime_millis());
  h.set_state(state());
  h.set_version(HOLDFAST_VERSION);
  fill_loops(h.mutable_loops());
  owner.publish("heartbeat", h);
}

} // namespace holdfast::service
