#pragma once

// Actors without threads, on a clock that the test turns. Include it from sources only: it pulls in CAF.

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <chrono>
#include <vector>

namespace test {

/// Every actor spawned in it ends with it. Handles a test keeps must be gone before.
class actor_world {
public:
  actor_world() { scheduler().clock().current_time += std::chrono::hours(1); }  // its zero has a special meaning

  ~actor_world() {
    for (auto& a : owned_)
      caf::anon_send_exit(a, caf::exit_reason::user_shutdown);
    advance(std::chrono::seconds(30), std::chrono::milliseconds(100));
    for (auto& a : owned_)
      caf::anon_send_exit(a, caf::exit_reason::kill);
    owned_.clear();
    run();
  }
  actor_world(const actor_world&) = delete;
  actor_world& operator=(const actor_world&) = delete;

  caf::actor_system& system() { return system_; }
  /// Ends it with the world.
  caf::actor own(caf::actor a) {
    owned_.push_back(a);
    run();
    return a;
  }
  void disown() { owned_.clear(); }
  /// Messages only; no time passes.
  void run() { scheduler().run(); }
  /// One message.
  void step() { scheduler().run_once(); }
  void advance(caf::timespan d, caf::timespan step = std::chrono::milliseconds(1)) {
    run();
    for (caf::timespan t{0}; t < d; t += step) {
      scheduler().advance_time(step);
      run();
    }
  }

private:
  static caf::actor_system_config& prepared(caf::actor_system_config& c) {
    c.set("scheduler.policy", caf::atom("testing"));
    return c;
  }
  caf::scheduler::test_coordinator& scheduler() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler());
  }

  caf::actor_system_config config_;
  caf::actor_system system_{prepared(config_)};
  std::vector<caf::actor> owned_;
};

} // namespace test
