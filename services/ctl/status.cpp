#include "services/ctl/ctl.hpp"

#include "common/service/runtime.hpp"
#include "services/ctl/output.hpp"
#include "services/ctl/status_report.hpp"

#include <unistd.h>

#include <algorithm>
#include <thread>

namespace holdfast::ctl {

namespace {

constexpr std::chrono::seconds rate_time{1};

// The one that was named; else expected ones first, then the watchdog, then whoever else has a socket here (a collector
// on the same host).
std::vector<instance_status> whom_to_ask(const site& where, const std::string& only) {
  const auto present = present_instances(where.run_directory);
  std::vector<instance_status> out;
  if (!only.empty())
    return {{only, true, {}, 0, {}}};
  const auto add = [&](const std::string& name, bool expected) {
    if (std::none_of(out.begin(), out.end(), [&](auto& i) { return i.name == name; }))
      out.push_back({name, expected, {}, 0, {}});
  };
  for (auto& name : where.instances)
    add(name, true);
  add("watchdog", where.configured);
  for (auto& name : present)
    add(name, name.starts_with("watchdog"));
  return out;
}

void ask_all(const site& where, std::vector<instance_status>& instances, milliseconds timeout) {
  std::vector<std::string> names;
  for (auto& i : instances)
    names.push_back(i.name);
  auto answers = ask(where.run_directory, names, status_request(), timeout);
  for (std::size_t k = 0; k < instances.size(); ++k) {
    instances[k].now = std::move(answers[k]);
    if (!instances[k].now.reply)
      instances[k].lock_holder = service::lock_holder(where.run_directory, instances[k].name);
  }
}

void add_rates(const site& where, std::vector<instance_status>& instances, milliseconds timeout) {
  const auto before = instances;
  const auto start = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(rate_time);
  ask_all(where, instances, timeout);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  for (std::size_t k = 0; k < instances.size(); ++k)
    instances[k].rates = counter_rates(before[k].now, instances[k].now, passed.count());
}

} // namespace

int status(const site& where, const status_options& options) {
  status_report report;
  report.gateway = where.configured ? where.config.name : "";
  report.run_directory = where.run_directory;
  report.instances = whom_to_ask(where, options.instance);
  ask_all(where, report.instances, options.timeout);
  if (options.rates)
    add_rates(where, report.instances, options.timeout);
  if (options.instance.empty())
    keep_real_watchdogs(report);
  // A stray socket file of a service that the configuration no longer names is not worth a line.
  std::erase_if(report.instances, [](auto& i) { return !i.expected && !i.now.reply; });
  line_output out(STDOUT_FILENO);
  out.write(options.json ? to_json(report) : to_table(report, options.all_figures));
  if (!options.instance.empty())
    return verdict(report.instances.front());
  const bool empty = report.instances.empty();
  return well(report) && !empty ? ok : not_well;
}

} // namespace holdfast::ctl
