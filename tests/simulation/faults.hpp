#pragma once

#include "tests/simulation/world.hpp"

#include <string>
#include <vector>

namespace holdfast::simulation {

/// Of a hang: it does not wake by itself.
inline constexpr duration for_ever = std::chrono::hours(1);

/// One thing that goes wrong, drawn before the run begins: a failing run is shrunk by leaving some of them out.
struct fault {
  enum class type {
    kill, kill_in_commit, hang, power_cut, cut, reset, slow, store_fails, store_slow, archive_fails, archive_slow,
    archive_kill, archive_kill_in_commit, drain, bus_flap, archive_lost, bus_lags,
  };
  type what;
  duration at{};          // from the beginning of the faults
  std::size_t which = 0;  // process, link or collector
  int direction = 2;      // of a cut: up, down, both
  duration length{};
  const char* name() const;
};

std::vector<fault> draw_faults(dice& d, duration length, std::size_t links, std::size_t collectors);

} // namespace holdfast::simulation
