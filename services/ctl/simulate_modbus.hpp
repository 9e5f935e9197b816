#pragma once

// The Modbus side of the simulated plant; its register map is in simulate.hpp.

#include "services/ctl/simulate_socket.hpp"

#include <modbus/modbus.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::ctl {

/// A pump station that lives: everything follows from the unit and the time.
class plant {
public:
  plant();
  /// The registers of this unit now; valid until the next call.
  modbus_mapping_t* at(unsigned unit, std::chrono::milliseconds age);

private:
  void put(int address, std::uint64_t value, int words);
  void text(int address, std::string s);
  std::unique_ptr<modbus_mapping_t, decltype(&modbus_mapping_free)> map_;
};

/// Answers requests for units 1..n on as many connections as come (up to 200); other units as a gateway answers for a
/// device that is not there.
class modbus_server {
public:
  modbus_server(descriptor listener, unsigned units);
  void run(const std::atomic<bool>& stop);
  std::uint64_t requests() const { return requests_; } ///< any thread

private:
  void accept();
  bool answer(int fd);

  descriptor listener_;
  std::vector<descriptor> clients_;
  unsigned units_;
  std::unique_ptr<modbus_t, decltype(&modbus_free)> modbus_;
  plant plant_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> requests_{0};
};


} // namespace holdfast::ctl
