#pragma once

// holdfastctl, the operator's tool. A synchronous program: it asks, prints and leaves. main.cpp calls run();
// command_line.cpp turns the words into the option structs below, and each command is one function of its own file.
// Commands print answers on standard output and complaints on standard error.

#include "common/config/config.hpp"
#include "holdfast/v1/control.pb.h"

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace holdfast::ctl {

using std::chrono::milliseconds;

/// What every command returns.
enum exit_code : int {
  ok = 0,
  not_well = 1,            ///< there is an answer, and it is not a good one
  unreachable = 2,         ///< nobody answered in time
  usage = 64,              ///< the command line is wrong
  bad_configuration = 78,  ///< the configuration is wrong or missing
};

/// Ends a command with a message for the operator.
struct failure : std::runtime_error {
  failure(exit_code c, const std::string& text) : std::runtime_error(text), code(c) {}
  exit_code code;
};

// -- the gateway that is asked ----------------------------------------------------------------------------------------

struct site_options {
  std::string config_file;
  bool config_named = false;  ///< by option or environment: then it must exist
  std::string run_directory;  ///< overrides the configuration's; without a configuration it is enough
};

struct site {
  config::gateway config;
  bool configured = false;                ///< a file was read
  std::string run_directory;
  std::vector<std::string> instances;     ///< expected to run; without a configuration those with a control socket
  std::string socket(const std::string& endpoint) const;  ///< the endpoint's file
};

/// Throws failure(bad_configuration) with every problem of the file, one a line.
site open_site(const site_options& options);

/// Instances that a configuration asks for, without the watchdog.
std::vector<std::string> expected_instances(const config::gateway& config);

/// Instances with a control socket in the directory, sorted.
std::vector<std::string> present_instances(const std::string& run_directory);

// -- commands ---------------------------------------------------------------------------------------------------------

struct status_options {
  std::string instance;       ///< this one alone; empty: all
  bool json = false;
  bool all_figures = false;
  bool rates = false;         ///< asks twice, a second apart
  milliseconds timeout{2000};
};
int status(const site& where, const status_options& options);

struct tap_options {
  std::vector<std::string> topics;  ///< prefixes; empty: everything but records
  bool records = false;             ///< print each record of record.*
  bool json = false;
  std::uint64_t count = 0;          ///< leave after so many messages; 0: never
  std::string descriptors;          ///< a FileDescriptorSet; empty: the compiled-in messages
};
int tap(const site& where, const tap_options& options);

struct restart_options {
  std::string instance;
  milliseconds timeout{30000};
};
int restart(const site& where, const restart_options& options);

int set_log_level(const site& where, const std::string& instance, const std::string& level, milliseconds timeout);

struct links_options {
  bool json = false;
  unsigned switches = 10;     ///< the last so many; 0: all that the store keeps
  milliseconds timeout{2000};
};
int links(const site& where, const links_options& options);

/// What an operator wants of a link. The store keeps it over restarts.
struct link_order {
  std::string link;
  v1::LinkCommand::What what = v1::LinkCommand::WHAT_UNSPECIFIED;
  std::string verb;           ///< "drain"
  std::string done;           ///< "drained"
  milliseconds timeout{2000};
};
int order_link(const site& where, const link_order& order);

int check(const std::string& file);
int print_schema();
int print_endpoints(const site& where);

/// `directory` empty: the configuration's.
int store_stat(const site_options& where, std::string directory, bool json);
int store_verify(const site_options& where, std::string directory);
int store_salvage(const std::string& file, const std::string& into);

struct dump_request {
  std::string directory;  ///< empty: the configuration's
  std::string gateway;    ///< only this one; empty: all
  std::string stream;
  bool follow = false;
  bool arrival_order = false;
  bool stats_only = false;
};
int collector_dump(const site_options& where, const dump_request& request);

/// Parses the command line and runs the command. Never throws.
int run(int argc, char** argv);

} // namespace holdfast::ctl
