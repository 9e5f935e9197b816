#pragma once

#include "common/actor/supervisor.hpp"
#include "common/bus/loop.hpp"
#include "common/config/config.hpp"
#include "common/telemetry/metrics.hpp"
#include "common/telemetry/pulse.hpp"

#include <caf/fwd.hpp>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace google::protobuf {
class Message;
}
namespace holdfast::net {
class io_loop;
}
namespace holdfast::v1 {
class ControlRequest;
class ControlReply;
class RecordPlace;
}

namespace holdfast::service {

/// What a running service has: configuration, bus, figures, and a place to say how it is. Every member may be used from
/// any thread.
class runtime {
public:
  runtime(std::string service, std::string instance, config::gateway configuration, caf::actor_system& system);
  ~runtime();

  const config::gateway& config() const noexcept;
  const std::string& service() const noexcept;
  const std::string& instance() const noexcept;
  std::uint64_t incarnation() const noexcept;  ///< random per life of the process
  caf::actor_system& system() noexcept;
  bus::loop& bus() noexcept;
  holdfast::metrics& metrics() noexcept;
  holdfast::pulse& pulse() noexcept;
  /// The process's Asio thread, started by the first call. It ends in stop(), when all actors are gone: handlers may
  /// hold whatever they need alive.
  net::io_loop& io();

  /// Address of a bus endpoint of this gateway.
  std::string address(std::string_view endpoint) const;

  /// Publishes on the event bus under "<topic>.<instance>". Lost when nobody listens.
  void publish(const std::string& topic, const google::protobuf::Message& payload);
  /// Publishes a stored batch as record.<class>; does nothing unless a tap asked for records.
  void publish_records(const v1::RecordPlace& place, const blob& batch);

  /// A component's state, for status, log and event bus. `healthy` false makes the service's own state "degraded".
  void set_state(const std::string& component, const std::string& state, const std::string& detail = {},
                 bool healthy = true);
  void forget_state(const std::string& component);
  void alarm(const std::string& name, bool raised, const std::string& text);

  /// Ends the process in order, with exit code 71: something only a fresh start can mend.
  void fail(const std::string& reason);

  /// Answers requests that only this service knows (bus thread). Return false: not for me. The answer may come later
  /// and from any thread; where none comes the caller's time runs out.
  using control_answer = std::function<void(const v1::ControlReply&)>;
  using control_handler = std::function<bool(const v1::ControlRequest&, const control_answer&)>;
  void on_control(control_handler handler);

  void start();  ///< starts the bus; sockets are open by then
  void stop();   ///< after the actors: ends bus and Asio threads

  bool failed() const noexcept;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// A command-line option of one service beyond --config.
struct option {
  std::string flags;  // "--link"
  std::string help;
  std::string* value;
  bool required = false;
};

struct flag {
  std::string flags;
  std::string help;
  bool* value;
};

struct definition {
  std::string service;
  std::string about;                         ///< shown by --help
  std::vector<option> options;
  std::vector<flag> flags;
  /// Name of this instance, e.g. "uplink-main"; default: the service. Throws std::runtime_error for wrong options.
  std::function<std::string(const config::gateway&)> instance;
  /// Opens sockets and returns the components in start order; runs before the bus starts.
  std::function<std::vector<actor::child_spec>(runtime&)> components;
  actor::strategy how = actor::strategy::one_for_one;
  std::chrono::milliseconds stop_deadline{8000};  ///< below the 10 s that docker gives
  bool stop_together = false;                ///< the components need not outlive each other: none waits for its turn
};

/// The whole life of a service process: options, configuration, lock, bus, actors, signals, ordered stop.
/// Exit codes: 0 stopped as asked, 64 wrong usage, 70 did not stop in time, 71 failed, 73 already running,
/// 78 bad configuration.
int run(int argc, char** argv, const definition& d);

/// Another process holds this instance's lock.
struct already_running : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Exclusive right to be this instance on this machine: an flock on <run directory>/<instance>.lock that holds the pid.
class instance_lock {
public:
  /// Throws already_running, naming the process that holds it.
  instance_lock(const std::string& run_directory, const std::string& instance);
  ~instance_lock();
  instance_lock(const instance_lock&) = delete;
  instance_lock& operator=(const instance_lock&) = delete;

private:
  int fd_ = -1;
};

/// Pid of the process that holds an instance's lock; 0: nobody.
long lock_holder(const std::string& run_directory, const std::string& instance);

} // namespace holdfast::service
