#pragma once

// The inside of runtime; for its own sources only. runtime.cpp has what services call, runtime_control.cpp what the bus
// thread answers.

#include "common/service/runtime.hpp"

#include "common/core/time.hpp"
#include "common/net/io_loop.hpp"
#include "common/telemetry/sparse.hpp"
#include "holdfast/v1/control.pb.h"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/events.pb.h"

#include <fmt/format.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>

namespace holdfast::service {

struct component {
  std::string state;
  std::string detail;
  bool healthy = true;
  std::chrono::steady_clock::time_point since;
};

inline blob encode(const google::protobuf::Message& m) { return blob(m.SerializeAsString()); }

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
  std::map<std::string, v1::Alarm> alarms;            // that stand, guarded by mutex
  std::map<std::string, std::uint64_t> published;     // last seq per topic, guarded by mutex
  std::set<std::string> subscriptions;                // bus thread only
  log::sparse malformed;                              // bus thread only

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
  void serve(const v1::ControlRequest& request, const control_answer& answer);
  void fill_status(v1::StatusReply& status);
  template <class Ages> void fill_loops(Ages* out);
  void beat(runtime& owner);
};

} // namespace holdfast::service
