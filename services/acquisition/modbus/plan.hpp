#pragma once

// Which registers of a device are read together. Pure.

#include "common/config/config.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace holdfast::acquisition::modbus {

/// The protocol's limits of one request, and how much unused space between two points is read along: one request costs
/// more than 16 bytes on the wire.
inline constexpr unsigned max_registers = 125;
inline constexpr unsigned max_bits = 2000;
inline constexpr unsigned max_hole_registers = 8;
inline constexpr unsigned max_hole_bits = max_hole_registers * 16;

/// One request, and the points it answers.
struct request_group {
  config::register_table table = config::register_table::holding;
  std::uint16_t address = 0;
  std::uint16_t count = 0;           ///< registers or bits
  std::chrono::milliseconds period{0};
  std::vector<std::size_t> points;   ///< indices into device.points, by address
};

/// The values alone, in bytes.
unsigned answer_bytes(const request_group& group);

/// The requests of a device: points of the same table and period that are near each other go together.
std::vector<request_group> plan(const config::modbus_device& device);

/// What to ask instead of a group the device refused as illegal: two parts, cut at the largest hole, or, where there is
/// no hole, in the middle; a single point stays as it is. Split again as often as needed, this leaves a wrong address
/// alone and its neighbours in few requests. It also finds the size of a device that takes less than 125 registers.
std::vector<request_group> split(const request_group& group, const config::modbus_device& device);

} // namespace holdfast::acquisition::modbus
