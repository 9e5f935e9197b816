#include "common/config/load.hpp"
#include "common/service/runtime.hpp"
#include "common/telemetry/log.hpp"

#include <CLI/CLI.hpp>
#include <caf/all.hpp>
#include <fmt/format.h>
#include <google/protobuf/stubs/common.h>
#include <google/protobuf/stubs/logging.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <future>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace holdfast::service {

namespace {

constexpr int exit_usage = 64;
constexpr int exit_stuck = 70;
constexpr int exit_failed = 71;
constexpr int exit_running = 73;
constexpr int exit_config = 78;

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGTERM, SIGINT, SIGHUP})
    sigaddset(&set, s);
  return set;
}

// A Unix socket of ZeroMQ 4.3.4 ends the process when it cannot accept for want of descriptors (ipc_listener.cpp): the
// usual soft limit of 1024 is one clumsy client away.
void raise_file_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
    return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

std::optional<config::gateway> read_config(const std::string& path) {
  auto r = config::load(path);
  for (auto& p : r.problems)
    fmt::print(stderr, "{}: {}\n", p.where(), p.text);
  if (!r.problems.empty())
    return std::nullopt;
  return std::move(r.value);
}

void wait_for_stop() {
  const auto set = stop_signals();
  int signal = 0;
  while (::sigwait(&set, &signal) != 0 || signal == SIGHUP)
    log::info("signal={} ignored", signal);
  log::info("stopping signal={}", signal);
}

// CAF's own file and command-line handling is not used: it would read a file of the current folder.
void configure(caf::actor_system_config& cfg) {
  cfg.set("scheduler.policy", caf::atom("sharing"));  // "stealing" polls: 3 % of a core for an idle service
  cfg.set("scheduler.max-threads", std::size_t{2});
  cfg.set("scheduler.max-throughput", std::size_t{100});
}

actor::supervision_listener count_restarts(runtime& rt) {
  return [&rt](const actor::supervision_event& e) {
    if (e.what == "started")
      return;
    rt.metrics().counter("holdfast_component_restarts_total", "Restarts of a component", {{"component", e.child}}).add();
    log::warn("component={} {} wait_ms={} cause=\"{}\"", e.child, e.what, e.wait.count(), e.reason);
  };
}

// Runs the components until a signal or the root supervisor's own end; false: they did not stop in time.
bool live(runtime& rt, const definition& d) {
  const auto components = d.components(rt);  // until the bus and the sockets rest: they tell what these own to the last
  rt.start();
  auto root = actor::spawn_supervisor(rt.system(), d.service, {.how = d.how, .stop_together = d.stop_together},
                                      components, count_restarts(rt));
  auto gone = std::make_shared<std::promise<void>>();
  auto over = gone->get_future();
  std::atomic<bool> asked{false};
  root->attach_functor([gone, &rt, &asked] {
    if (!asked)
      rt.fail("the root supervisor gave up");
    gone->set_value();
  });
  log::info("started instance={} pid={} version={}", rt.instance(), ::getpid(), HOLDFAST_VERSION);
  wait_for_stop();
  asked = true;
  caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
  const bool stopped = over.wait_for(d.stop_deadline) == std::future_status::ready;
  rt.stop();
  return stopped;
}

int serve(const definition& d, const std::string& instance, config::gateway configuration) {
  instance_lock lock(configuration.run_directory, instance);
  caf::actor_system_config cfg;
  configure(cfg);
  caf::actor_system system{cfg};
  bool failed = false;
  {
    runtime rt(d.service, instance, std::move(configuration), system);
    if (!live(rt, d)) {
      log::error("components did not stop within {} ms", d.stop_deadline.count());
      log::close();
      std::_Exit(exit_stuck);
    }
    failed = rt.failed();
  }
  log::info("stopped instance={}", instance);
  return failed ? exit_failed : 0;
}

// What instance() throws is about options: wrong usage.
std::optional<std::string> instance_of(const definition& d, const config::gateway& configuration) {
  try {
    return d.instance ? d.instance(configuration) : d.service;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return std::nullopt;
  }
}

} // namespace

int run(int argc, char** argv, const definition& d) {
  GOOGLE_PROTOBUF_VERIFY_VERSION;
  google::protobuf::SetLogHandler(nullptr);  // garbage on a socket is reported with its peer, not line by line
  CLI::App app{d.about};
  app.set_version_flag("--version", HOLDFAST_VERSION);
  std::string path = "/etc/holdfast/holdfast.yaml";
  app.add_option("--config", path, "The gateway's YAML file")->envname("HOLDFAST_CONFIG")->capture_default_str();
  for (auto& o : d.options)
    app.add_option(o.flags, *o.value, o.help)->required(o.required);
  for (auto& f : d.flags)
    app.add_flag(f.flags, *f.value, f.help);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : exit_usage;
  }
  // Blocked before any thread starts, so that all inherit it and the main thread alone takes them.
  const auto set = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  auto configuration = read_config(path);
  if (!configuration)
    return exit_config;
  const auto instance = instance_of(d, *configuration);
  if (!instance)
    return exit_usage;
  auto threshold = log::level::info;
  log::parse(configuration->log.level, threshold);
  int code = exit_failed;
  log::open(*instance, threshold);
  try {
    code = serve(d, *instance, std::move(*configuration));
  } catch (const already_running& e) {
    log::error("{}", e.what());
    code = exit_running;
  } catch (const std::exception& e) {
    log::error("{}", e.what());
  }
  log::close();
  return code;
}

} // namespace holdfast::service
