#include "services/ctl/simulate.hpp"

#include "services/ctl/simulate_lines.hpp"
#include "services/ctl/simulate_modbus.hpp"

#include <fmt/core.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

namespace holdfast::ctl {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

namespace {

/// SIGTERM and SIGINT, taken in this thread only, as long as it lives.
class stop_signals {
public:
  stop_signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~stop_signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  bool arrived(std::chrono::milliseconds wait) {
    const timespec t{0, std::chrono::nanoseconds(wait).count()};
    return sigtimedwait(&set_, nullptr, &t) > 0;
  }

private:
  sigset_t set_{}, before_{};
};

} // namespace

int simulate(const simulate_options& o) {
  const bool serves = o.modbus_listen.port != 0;
  if (!serves && !o.lines_to) {
    fmt::print(stderr, "failed to simulate a plant: neither Modbus nor lines are asked for\n");
    return 1;
  }
  auto listener = serves ? open_socket(o.modbus_listen, true) : descriptor();
  if (serves && !listener) {
    fmt::print(stderr, "failed to listen on {}:{}: {}\n", o.modbus_listen.host, o.modbus_listen.port,
               std::strerror(errno));
    return 1;
  }
  stop_signals signals;
  std::atomic<bool> stop{false};
  modbus_server server(std::move(listener), o.units);
  line_device device(o);
  std::vector<std::jthread> threads;
  if (serves)
    threads.emplace_back([&] { server.run(stop); });
  if (o.lines_to)
    threads.emplace_back([&] { device.run(stop); });
  const auto report = [&] {
    fmt::print("{} modbus requests {}\n", device.counts(), server.requests());
    std::fflush(stdout);
  };
  const auto begin = clock::now();
  auto told = begin;
  while (!signals.arrived(20ms) && (o.duration == 0s || clock::now() < begin + o.duration) && !device.complete())
    if (!o.quiet && clock::now() - told >= 1s) {
      told = clock::now();
      report();
    }
  stop = true;
  threads.clear();
  report();
  return o.lines_to && o.lines_total != 0 && !device.complete() ? 1 : 0;
}

} // namespace holdfast::ctl
