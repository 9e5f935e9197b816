#include "common/service/runtime.hpp"

#include "common/bus/endpoints.hpp"
#include "common/core/time.hpp"
#include "common/net/io_loop.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/control.pb.h"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/events.pb.h"
#include "holdfast/v1/record.pb.h"

#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <map>
#include <mutex>
#include <set>
#include <unistd.h>

namespace holdfast::service {

namespace {

using namespace std::chrono_literals;

constexpr auto heartbeat_period = 250ms;
constexpr auto metrics_period = 1000ms;
constexpr std::size_t max_subscriptions = 4096;

struct component {
  std::string state;
  std::string detail;
  bool healthy = true;
  std::chrono::steady_clock::time_point since;
};

blob encode(const google::protobuf::Message& m) { return blob(m.SerializeAsString()); }

} // namespace

struct runtime::impl {
  std::string service;
  std::string instance;
  config::gateway config;
  caf::actor_system& system;
  std::uint64_t incarnation = random_id();
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  holdfast::metrics metrics;
  holdfast::pulse pulse;
  bus::loop bus;
  bus::loop::socket events = 0;
  bus::loop::socket control = 0;
  std::shared_ptr<pulse::loop> bus_pulse;
  control_handler extra;
  std::atomic<bool> records_wanted{false};
  std::atomic<bool> failed{false};

  std::once_flag io_once;
  std::unique_ptr<net::io_loop> io;

  std::mutex mutex;
  std::map<std::string, component> components;       // guarded by mutex
  std::map<std::string, bool> alarms;                 // guarded by mutex
  std::map<std::string, std::uint64_t> published;     // last seq per topic, guarded by mutex
  std::set<std::string> subscriptions;                // bus thread only

  impl(std::string s, std::string i, config::gateway c, caf::actor_system& sys)
      : service(std::move(s)), instance(std::move(i)), config(std::move(c)), system(sys) {}

  std::uint64_t uptime_millis() const {
    return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started).count());
  }

  std::string state() {
    std::lock_guard lock(mutex);
    for (auto& [name, c] : components)
      if (!c.healthy)
        return fmt::format("degraded: {} {}{}{}", name, c.state, c.detail.empty() ? "" : ": ", c.detail);
    return "running";
  }

  v1::Envelope envelope(const std::string& type) const {
    v1::Envelope e;
    e.set_type(type);
    e.set_service(service);
    e.set_instance(instance);
    e.set_incarnation(incarnation);
    e.set_unix_nanos(unix_nanos());
    e.set_monotonic_nanos(boottime_nanos());
    return e;
  }

  // Numbering and queueing are one step: two threads on one topic must not swap their messages.
  void publish(const std::string& topic, v1::Envelope e, blob payload) {
    std::lock_guard lock(mutex);
    e.set_seq(++published[topic]);
    bus.send(events, {{}, {blob(topic), encode(e), std::move(payload)}});
  }

  void on_subscription(bus::message&& m);
  void on_control(bus::message&& m);
  void answer(const v1::ControlRequest& request, v1::ControlReply& reply);
  void fill_status(v1::StatusReply& status);
  template <class Ages> void fill_loops(Ages* out);
  void beat(runtime& owner);
};

runtime::runtime(std::string service, std::string instance, config::gateway configuration, caf::actor_system& system)
    : impl_(std::make_unique<impl>(std::move(service), std::move(instance), std::move(configuration), system)) {
  auto& i = *impl_;
  i.events = i.bus.open({.kind = bus::socket_kind::xpub, .name = "events." + i.instance,
                         .bind = address("events." + i.instance), .max_message = 4096},
                        [this](bus::message&& m) { impl_->on_subscription(std::move(m)); });
  i.control = i.bus.open({.kind = bus::socket_kind::router, .name = "control." + i.instance,
                          .bind = address("control." + i.instance), .max_message = 64 * 1024},
                         [this](bus::message&& m) { impl_->on_control(std::move(m)); });
  i.bus_pulse = i.pulse.add("bus", 2s);
  i.bus.every(heartbeat_period, [this] { impl_->beat(*this); });
  auto& dropped = i.metrics.counter("holdfast_bus_dropped_total", "Messages the bus could not hand on (resent or lossy)");
  auto& refused = i.metrics.counter("holdfast_bus_handshake_failures_total", "Peers on the bus that were not ZeroMQ");
  i.bus.every(metrics_period, [this, &dropped, &refused] {
    dropped.set(static_cast<double>(impl_->bus.dropped()));
    refused.set(static_cast<double>(impl_->bus.handshake_failures()));
    v1::Metrics all;
    impl_->metrics.snapshot(all);
    publish("metrics", all);
  });
}

runtime::~runtime() { stop(); }

const config::gateway& runtime::config() const noexcept { return impl_->config; }
const std::string& runtime::service() const noexcept { return impl_->service; }
const std::string& runtime::instance() const noexcept { return impl_->instance; }
std::uint64_t runtime::incarnation() const noexcept { return impl_->incarnation; }
caf::actor_system& runtime::system() noexcept { return impl_->system; }
bus::loop& runtime::bus() noexcept { return impl_->bus; }
holdfast::metrics& runtime::metrics() noexcept { return impl_->metrics; }
holdfast::pulse& runtime::pulse() noexcept { return impl_->pulse; }
bool runtime::failed() const noexcept { return impl_->failed; }
void runtime::on_control(control_handler handler) { impl_->extra = std::move(handler); }
void runtime::start() { impl_->bus.start(); }

void runtime::stop() {
  impl_->bus.stop();
  impl_->io.reset();
}

net::io_loop& runtime::io() {
  std::call_once(impl_->io_once, [this] { impl_->io = std::make_unique<net::io_loop>(impl_->pulse, "network"); });
  return *impl_->io;
}

std::string runtime::address(std::string_view endpoint) const {
  return bus::address(impl_->config.run_directory, endpoint);
}

void runtime::publish(const std::string& topic, const google::protobuf::Message& payload) {
  impl_->publish(topic + "." + impl_->instance, impl_->envelope(payload.GetTypeName()), encode(payload));
}

void runtime::publish_records(const v1::RecordPlace& place, const blob& batch) {
  if (!impl_->records_wanted.load(std::memory_order_relaxed))
    return;
  auto e = impl_->envelope(v1::Batch::descriptor()->full_name());
  *e.mutable_place() = place;
  impl_->publish("record." + place.record_class(), std::move(e), batch);
}

void runtime::set_state(const std::string& name, const std::string& state, const std::string& detail, bool healthy) {
  std::string before;
  {
    std::lock_guard lock(impl_->mutex);
    auto& c = impl_->components[name];
    before = c.state;
    c.detail = detail;
    c.healthy = healthy;
    if (before == state)
      return;
    c.state = state;
    c.since = std::chrono::steady_clock::now();
  }
  if (healthy)
    log::info("state component={} from={} to={} detail=\"{}\"", name, before.empty() ? "-" : before, state, detail);
  else
    log::warn("state component={} from={} to={} detail=\"{}\"", name, before.empty() ? "-" : before, state, detail);
  v1::StateChange change;
  change.set_component(name);
  change.set_from(before);
  change.set_to(state);
  change.set_reason(detail);
  publish("state", change);
}

void runtime::forget_state(const std::string& name) {
  std::lock_guard lock(impl_->mutex);
  impl_->components.erase(name);
}

void runtime::alarm(const std::string& name, bool raised, const std::string& text) {
  {
    std::lock_guard lock(impl_->mutex);
    auto& last = impl_->alarms[name];
    if (last == raised)
      return;
    last = raised;
  }
  log::warn("alarm name={} {} text=\"{}\"", name, raised ? "raised" : "cleared", text);
  v1::Alarm a;
  a.set_name(name);
  a.set_severity(v1::SEVERITY_CRITICAL);
  a.set_raised(raised);
  a.set_text(text);
  publish("alarm", a);
}

void runtime::fail(const std::string& reason) {
  log::error("service failed instance={} cause=\"{}\"", impl_->instance, reason);
  impl_->failed = true;
  ::kill(::getpid(), SIGTERM);
}

// -- bus thread ---------------------------------------------------------------------------------------------------------

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
  v1::ControlReply reply;
  if (m.parts.size() == 1 && request.ParseFromArray(m.parts[0].data(), static_cast<int>(m.parts[0].size()))) {
    reply.set_id(request.id());
    answer(request, reply);
  } else {
    log::warn("malformed control request peer_bytes={} parts={}", m.peer.size(), m.parts.size());
    reply.set_error("failed to read request: not a holdfast.v1.ControlRequest");
  }
  bus.send(control, {m.peer, {encode(reply)}});
}

void runtime::impl::answer(const v1::ControlRequest& request, v1::ControlReply& reply) {
  switch (request.request_case()) {
    case v1::ControlRequest::kStatus:
      fill_status(*reply.mutable_status());
      return reply.set_ok(true);
    case v1::ControlRequest::kLogLevel: {
      log::level l{};
      if (!log::parse(request.log_level().level(), l))
        return reply.set_error("failed to set log level: use trace, debug, info, warn, error or off");
      log::set_level(l);
      return reply.set_ok(true);
    }
    case v1::ControlRequest::kStop:
      ::kill(::getpid(), SIGTERM);
      return reply.set_ok(true);
    default:
      if (!extra || !extra(request, reply))
        reply.set_error(fmt::format("failed to serve request: {} does not know it", instance));
  }
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
