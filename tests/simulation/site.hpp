#pragma once

// One gateway, its links and its centres in one world. What differs from seed to seed is drawn in the constructor.

#include "common/config/config.hpp"
#include "tests/simulation/disks.hpp"
#include "tests/simulation/faults.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/oracle.hpp"
#include "tests/simulation/world.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::simulation {

class acquisition_process;
class store_process;
class uplink_process;
class collector_process;
class keeper;

class site {
public:
  site(std::uint64_t seed, defect d, bool tracing, std::vector<fault> schedule);
  ~site();

  /// Safety: faults to the end. Liveness: they stop, and all must be where it belongs in time. Throws violation.
  void run_safety(duration length);
  void run_liveness(duration faults, duration bound);
  std::string describe(const fault& f) const;

  world w;
  oracle model;
  config::gateway config;
  store_disk disk;
  std::map<std::string, archive_disk> archives;  // by destination
  std::vector<std::unique_ptr<path>> paths;      // as config.links
  std::vector<std::unique_ptr<collector_process>> collectors;
  std::unique_ptr<store_process> store;
  std::vector<std::unique_ptr<uplink_process>> uplinks;
  std::unique_ptr<acquisition_process> acquisition;
  std::vector<process*> processes;               // of the gateway, in start order
  std::unique_ptr<keeper> watchdog;
  std::vector<std::unique_ptr<keeper>> centre_watchdogs;
  std::vector<fault> schedule;
  bool producing = true;
  duration drained{};                            // after the faults

private:
  void configure(dice& d);
  void build();
  void plan();
  void begin(const fault& f);
  void over(const fault& f);
  bus_link& bus_of(const fault& f);
  void run(time_point end);
  void undrain();
  bool settled() const;
};

} // namespace holdfast::simulation
