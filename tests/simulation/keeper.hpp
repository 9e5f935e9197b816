#pragma once

// The watchdog of some processes: the cores restart_policy and liveness in a thin shell that follows
// services/watchdog/keeper_actor.cpp. It does not die itself; adopting and signals' details are left out.

#include "services/watchdog/liveness.hpp"
#include "services/watchdog/restart_policy.hpp"
#include "tests/simulation/world.hpp"

#include <vector>

namespace holdfast::simulation {

class keeper {
public:
  keeper(world& w, const config::watchdog& limits, std::vector<process*> table);
  /// Somebody kills it: not asked for by the policy.
  void signal(process& p, const std::string& why);
  void start();

private:
  void turn();
  void carry_out();
  void carry_out(const watchdog::action& a);
  void run(std::size_t service);
  void gone(std::size_t service, watchdog::exit_status status);
  void beat(std::size_t service);

  world& w_;
  config::watchdog limits_;
  std::vector<process*> table_;
  std::vector<std::uint64_t> lives_;  // spawned or ended
  std::vector<bool> there_;           // spawned and not ended
  watchdog::restart_policy policy_;
  watchdog::liveness liveness_;
  std::uint64_t turn_ = 0;
};

} // namespace holdfast::simulation
