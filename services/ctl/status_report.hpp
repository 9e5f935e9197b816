#pragma once

// What `holdfastctl status` found out, and how it looks.

#include "services/ctl/ask.hpp"
#include "services/ctl/ctl.hpp"

#include <map>
#include <string>
#include <vector>

namespace holdfast::ctl {

struct instance_status {
  std::string name;
  bool expected = true;
  answer now;
  long lock_holder = 0;                 ///< of one that does not answer: the process that holds its lock, else 0
  std::map<std::string, double> rates;  ///< per second, by metric_key(); empty unless asked for
};

struct status_report {
  std::string gateway;
  std::string run_directory;
  std::vector<instance_status> instances;
};

/// Whether the instance answered and calls itself running.
bool running(const instance_status& i);
/// Of one: ok when running, not_well when it says anything else, unreachable when it does not answer.
exit_code verdict(const instance_status& i);
/// Whether every expected instance is running.
bool well(const status_report& report);

/// Drops the rows of watchdogs that this gateway does not use: one watchdog guards all services, or each has its own
/// (`watchdog-<instance>`, in containers). Where none answers, `watchdog` stays and is missing.
void keep_real_watchdogs(status_report& report);

/// Increase of each counter per second between two answers of the same process.
std::map<std::string, double> counter_rates(const answer& before, const answer& after, double seconds);
/// Name and labels as one text.
std::string metric_key(const v1::Metric& m);

/// For people. Shows the key figures and every counter of trouble that is not 0, or all figures.
std::string to_table(const status_report& report, bool all_figures);
/// One JSON object in one line.
std::string to_json(const status_report& report);

} // namespace holdfast::ctl
