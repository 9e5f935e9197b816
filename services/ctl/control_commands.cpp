// restart and log-level: requests that change something.

#include "services/ctl/ask.hpp"
#include "services/ctl/ctl.hpp"
#include "services/ctl/output.hpp"

#include "common/service/runtime.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace holdfast::ctl {

namespace {

using clock = std::chrono::steady_clock;

constexpr milliseconds patience{1000};  // for a service that should answer at once
constexpr milliseconds turn{20};        // between two questions whether it is back

// Pid of the instance as it says itself, or as its lock says when it hangs; 0: not running.
long pid_of(const site& where, const std::string& instance, milliseconds timeout) {
  const auto a = ask(where.run_directory, instance, status_request(), timeout);
  return a.reply ? static_cast<long>(a.reply->status().pid()) : service::lock_holder(where.run_directory, instance);
}

// In containers each service has a watchdog of its own.
std::string watchdog_of(const site& where, const std::string& instance) {
  const auto own = "watchdog-" + instance;
  return ::access(where.socket("control." + own).c_str(), F_OK) == 0 ? own : "watchdog";
}

// Waits until the instance answers with another pid than before; 0: not in time.
long wait_for_another(const site& where, const std::string& instance, long before, clock::time_point deadline) {
  while (clock::now() < deadline && !stop_requested()) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - clock::now());
    const auto a = ask(where.run_directory, instance, status_request(), std::min(patience / 5, left));
    if (a.reply && a.reply->status().pid() != before)
      return static_cast<long>(a.reply->status().pid());
    std::this_thread::sleep_for(turn);
  }
  return 0;
}

int complain(exit_code code, const std::string& text) {
  fmt::print(stderr, "holdfastctl: {}\n", text);
  return code;
}

} // namespace

int restart(const site& where, const restart_options& options) {
  take_signals();
  const auto& name = options.instance;
  const auto deadline = clock::now() + options.timeout;
  const auto before = pid_of(where, name, std::min(patience, options.timeout));
  const auto watchdog = watchdog_of(where, name);
  v1::ControlRequest request;
  request.mutable_restart()->set_process(name);
  const auto start = clock::now();
  const auto a = ask(where.run_directory, watchdog, request, options.timeout);
  if (!a.reply)
    return complain(unreachable, fmt::format("failed to restart {}: {}: {}", name, watchdog, a.error));
  if (!a.reply->ok())
    return complain(not_well, a.reply->error());  // says what failed by itself
  const auto after = wait_for_another(where, name, before, deadline);
  if (after == 0)
    return complain(unreachable, fmt::format("failed to restart {}: the watchdog accepted, but the service did not "
                                             "answer within {}", name, human_duration(options.timeout)));
  const std::chrono::duration<double> took = clock::now() - start;
  fmt::print("{}: back after {:.3f} s, pid {} -> {}\n", name, took.count(),
             before == 0 ? "-" : fmt::format("{}", before), after);
  return ok;
}

int set_log_level(const site& where, const std::string& instance, const std::string& level, milliseconds timeout) {
  v1::ControlRequest request;
  request.mutable_log_level()->set_level(level);
  const auto a = ask(where.run_directory, instance, request, timeout);
  if (!a.reply)
    return complain(unreachable, fmt::format("failed to reach {}: {}", instance, a.error));
  if (!a.reply->ok())
    return complain(not_well, a.reply->error());
  fmt::print("{}: log level {}\n", instance, level);
  return ok;
}

} // namespace holdfast::ctl
