#pragma once

// One Modbus bus with all its devices, polled by a thread of its own. Read this header first; what the thread decides
// is in schedule, plan, decode and report, what it touches is in line.

#include "common/config/config.hpp"
#include "common/telemetry/metrics.hpp"
#include "common/telemetry/pulse.hpp"
#include "services/acquisition/modbus/line.hpp"
#include "services/acquisition/modbus/report.hpp"
#include "services/acquisition/modbus/schedule.hpp"
#include "services/acquisition/sample.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace holdfast::acquisition::modbus {

/// Called by the bus's thread, one at a time; they must not block, or the bus stands still.
struct bus_callbacks {
  /// What one request gave, all with the time its answer arrived. Streams are "<device>/<point>". Where a point lost
  /// its value (its device or the bus died, or refuses it) one bad sample without a value tells, then silence.
  std::function<void(std::vector<sample>)> on_samples;
  /// A device answers for the first time or again, or does not any more; `detail` is the cause.
  std::function<void(const std::string& device, device_state state, const std::string& detail)> on_device;
};

/// A device is offline after breaker_failures requests in a row without an answer, or when the bus cannot be opened
/// three times in a row. An exception is an answer: it concerns the points of its request only.
class bus_master {
public:
  using clock = std::chrono::steady_clock;

  bus_master(config::modbus_source bus, std::string source_name, bus_callbacks callbacks, pulse& beats,
             metrics& figures);
  ~bus_master();
  bus_master(const bus_master&) = delete;
  bus_master& operator=(const bus_master&) = delete;

  void start(); ///< once
  /// Ends the thread: at once on TCP, on a serial line when the running request is answered or its time is over.
  /// Idempotent; not from a callback.
  void stop();

private:
  struct device {
    std::vector<std::string> streams;  // by point
    std::vector<reporter> reports;     // by point
    metrics::value* requests;
    metrics::value* failures;
    metrics::value* missed;
  };

  void run();
  bool connect();
  void serve(const schedule::task& task);
  void settle(const schedule::task& task, const answer& a);
  void publish(const schedule::task& task, const answer& a, timestamp at);
  bool publish_bad(std::size_t device, const std::vector<std::size_t>& points);
  void publish_device(std::size_t index, const std::string& detail);
  void device_lost(std::size_t index, const std::string& detail);
  std::chrono::milliseconds backoff();
  void reset_backoff();
  void idle_until(clock::time_point t);
  bool stopping();

  config::modbus_source bus_;
  std::string source_;
  bus_callbacks callbacks_;
  std::vector<device> devices_;
  schedule schedule_;
  line line_;
  std::shared_ptr<pulse::loop> beat_;
  std::minstd_rand random_;
  unsigned attempts_ = 0;              // to open the bus, in a row
  bool down_ = true;                   // the bus, as told to the schedule
  clock::time_point next_attempt_{};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

} // namespace holdfast::acquisition::modbus
