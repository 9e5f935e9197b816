#pragma once

#include "common/service/runtime.hpp"
#include "services/watchdog/exit_status.hpp"
#include "services/watchdog/service_table.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace holdfast::watchdog {

/// Tells what happens to the services: a component state "process:NAME" (which also writes the log: one line for each
/// change), metrics, ProcessEvents on the event bus, alarms.
class reporter {
public:
  using milliseconds = std::chrono::milliseconds;

  reporter(service::runtime& rt, const std::vector<service_entry>& table);

  void started(std::size_t service, long pid, unsigned restarts, milliseconds age, bool adopted);
  /// The first heartbeat of a life.
  void running(std::size_t service);
  void hung(std::size_t service, const std::string& reason);
  void stopping(std::size_t service);
  void killed(std::size_t service, const std::string& reason);
  /// Ended unasked, or did not start at all (pid 0).
  void failed(std::size_t service, const exit_status& status, const std::string& reason, milliseconds wait);
  void stopped(std::size_t service, const exit_status& status, const std::string& reason);
  void quarantined(std::size_t service, const std::string& reason, milliseconds wait);
  void recovered(std::size_t service);

  /// For --observe: heartbeats come, or come no more.
  void observed(std::size_t service, bool well, const std::string& detail);

  void excuses(std::uint64_t count);
  /// Raises or clears (empty text) the alarm about the hardware watchdog.
  void device(const std::string& trouble);

  /// One line: "4 of 5 services running; store: waiting".
  std::string summary() const;

private:
  struct row {
    std::string name;
    std::string state{"down"};
    long pid = 0;
    unsigned restarts = 0;
    metrics::value* up = nullptr;
    metrics::value* restart_count = nullptr;
    metrics::value* hangs = nullptr;
    metrics::value* in_quarantine = nullptr;
    metrics::value* start_time = nullptr;
  };

  void set_state(row& r, const std::string& state, const std::string& detail, bool healthy = true);
  void publish(const row& r, const std::string& what, const std::string& reason = {}, const exit_status& status = {},
               milliseconds wait = {});

  service::runtime& rt_;
  std::vector<row> rows_;
  metrics::value& excuses_;
};

} // namespace holdfast::watchdog
