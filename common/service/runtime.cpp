#include "common/service/runtime_impl.hpp"

#include "common/bus/endpoints.hpp"
#include "common/service/reader_queue.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/record.pb.h"

#include <csignal>
#include <unistd.h>

namespace holdfast::service {

namespace {

using namespace std::chrono_literals;

constexpr auto heartbeat_period = 250ms;
constexpr auto metrics_period = 1000ms;

} // namespace

runtime::runtime(std::string service, std::string instance, config::gateway configuration, caf::actor_system& system)
    : impl_(std::make_unique<impl>(std::move(service), std::move(instance), std::move(configuration), system)) {
  auto& i = *impl_;
  i.events = i.bus.open({.kind = bus::socket_kind::xpub, .name = "events." + i.instance,
                         .bind = address("events." + i.instance),
                         .queue = reader_queue(i.config, 1000), .max_message = 4096},
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
  v1::Alarm a;
  a.set_name(name);
  a.set_severity(v1::SEVERITY_CRITICAL);
  a.set_raised(raised);
  a.set_text(text);
  {
    std::lock_guard lock(impl_->mutex);
    const bool stood = impl_->alarms.contains(name);
    if (raised)
      impl_->alarms[name] = a;
    else
      impl_->alarms.erase(name);
    if (stood == raised)
      return;
  }
  log::warn("alarm name={} {} text=\"{}\"", name, raised ? "raised" : "cleared", text);
  publish("alarm", a);
}

void runtime::fail(const std::string& reason) {
  log::error("service failed instance={} cause=\"{}\"", impl_->instance, reason);
  impl_->failed = true;
  ::kill(::getpid(), SIGTERM);
}

} // namespace holdfast::service
