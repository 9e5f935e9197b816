#include "services/watchdog/reporter.hpp"

#include "common/core/time.hpp"
#include "holdfast/v1/events.pb.h"

#include <fmt/format.h>

namespace holdfast::watchdog {

namespace {

std::string next_start(std::chrono::milliseconds wait) {
  return wait.count() == 0 ? "starts again at once" : fmt::format("starts again in {} ms", wait.count());
}

std::string alarm_name(const std::string& service) { return "process:" + service; }

} // namespace

reporter::reporter(service::runtime& rt, const std::vector<service_entry>& table)
    : rt_(rt), excuses_(rt.metrics().counter("holdfast_watchdog_excuses_total",
                                             "Times the watchdog itself was late and gave everybody a fresh limit")) {
  auto& m = rt.metrics();
  for (auto& s : table) {
    const metrics::labels tag{{"process", s.name}};
    row r{.name = s.name};
    r.up = &m.gauge("holdfast_process_up", "1 while the process exists", tag);
    r.restart_count = &m.counter("holdfast_process_restarts_total", "Starts after the first one", tag);
    r.hangs = &m.counter("holdfast_process_hangs_total", "Times the process was found hung", tag);
    r.in_quarantine = &m.gauge("holdfast_process_quarantined", "1 while it is only started slowly", tag);
    r.start_time = &m.gauge("holdfast_process_start_time_seconds", "Unix time of the present life's start", tag);
    rows_.push_back(std::move(r));
  }
}

void reporter::set_state(row& r, const std::string& state, const std::string& detail, bool healthy) {
  r.state = state;
  rt_.set_state("process:" + r.name, state, detail, healthy);
}

void reporter::publish(const row& r, const std::string& what, const std::string& reason, const exit_status& status,
                       milliseconds wait) {
  v1::ProcessEvent e;
  e.set_process(r.name);
  e.set_what(what);
  e.set_pid(r.pid);
  e.set_exit_code(status.code.value_or(0));
  e.set_signal(status.signal.value_or(0));
  e.set_restarts(r.restarts);
  e.set_reason(reason);
  e.set_wait_millis(static_cast<std::uint64_t>(wait.count()));
  rt_.publish("process", e);
}

void reporter::started(std::size_t service, long pid, unsigned restarts, milliseconds age, bool adopted) {
  auto& r = rows_[service];
  if (restarts > r.restarts)
    r.restart_count->add(restarts - r.restarts);
  r.pid = pid;
  r.restarts = restarts;
  r.up->set(1);
  r.start_time->set(static_cast<double>(unix_nanos()) / 1e9 - static_cast<double>(age.count()) / 1e3);
  set_state(r, adopted ? "adopted" : "starting", fmt::format("pid={} restarts={}", pid, restarts));
  publish(r, adopted ? "adopted" : "started");
}

void reporter::running(std::size_t service) {
  auto& r = rows_[service];
  set_state(r, "running", fmt::format("pid={} restarts={}", r.pid, r.restarts));
}

void reporter::hung(std::size_t service, const std::string& reason) {
  auto& r = rows_[service];
  r.hangs->add();
  set_state(r, "hung", fmt::format("pid={} {}", r.pid, reason), false);
  publish(r, "hung", reason);
}

void reporter::stopping(std::size_t service) {
  auto& r = rows_[service];
  set_state(r, "stopping", fmt::format("pid={}", r.pid));
}

void reporter::killed(std::size_t service, const std::string& reason) {
  auto& r = rows_[service];
  set_state(r, "killed", fmt::format("pid={} {}", r.pid, reason), false);
  publish(r, "killed", reason);
}

void reporter::failed(std::size_t service, const exit_status& status, const std::string& reason, milliseconds wait) {
  auto& r = rows_[service];
  r.up->set(0);
  set_state(r, "waiting", fmt::format("pid={} {}; {}", r.pid, reason, next_start(wait)), false);
  publish(r, "exited", reason, status, wait);
  r.pid = 0;
}

void reporter::stopped(std::size_t service, const exit_status& status, const std::string& reason) {
  auto& r = rows_[service];
  r.up->set(0);
  set_state(r, "stopped", fmt::format("pid={} {}", r.pid, reason));
  publish(r, "stopped", reason, status);
  r.pid = 0;
}

void reporter::quarantined(std::size_t service, const std::string& reason, milliseconds wait) {
  auto& r = rows_[service];
  r.in_quarantine->set(1);
  set_state(r, "quarantined", fmt::format("{}; {}", reason, next_start(wait)), false);
  publish(r, "quarantined", reason, {}, wait);
  rt_.alarm(alarm_name(r.name), true, fmt::format("{} is in quarantine: {}", r.name, reason));
}

void reporter::recovered(std::size_t service) {
  auto& r = rows_[service];
  r.in_quarantine->set(0);
  rt_.alarm(alarm_name(r.name), false, fmt::format("{} runs and is stable", r.name));
}

void reporter::observed(std::size_t service, bool well, const std::string& detail) {
  auto& r = rows_[service];
  r.up->set(well ? 1 : 0);
  if (!well)
    r.hangs->add();
  set_state(r, well ? "running" : "silent", detail, well);
  rt_.alarm(alarm_name(r.name), !well, well ? r.name + " is back" : fmt::format("{}: {}", r.name, detail));
}

void reporter::excuses(std::uint64_t count) { excuses_.set(static_cast<double>(count)); }

void reporter::device(const std::string& trouble) {
  rt_.alarm("hardware_watchdog", !trouble.empty(), trouble.empty() ? "the hardware watchdog is fed" : trouble);
}

std::string reporter::summary() const {
  std::size_t up = 0;
  std::string others;
  for (auto& r : rows_) {
    if (r.state == "running")
      ++up;
    else
      others += fmt::format("; {}: {}", r.name, r.state);
  }
  return fmt::format("{} of {} services running{}", up, rows_.size(), others);
}

} // namespace holdfast::watchdog
