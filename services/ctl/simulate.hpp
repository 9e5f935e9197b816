#pragma once

// `holdfastctl simulate`: a plant to try a gateway with. It serves Modbus TCP, and at the same time a device sends
// numbered lines to a tcp-server source and keeps each until the gateway confirmed it.

#include "common/config/config.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::ctl {

struct simulate_options {
  config::endpoint modbus_listen;           ///< port 0: no Modbus
  unsigned units = 3;                       ///< units 1..n
  std::optional<config::endpoint> lines_to; ///< none: no lines
  double lines_per_second = 100;            ///< 0: as fast as they are taken
  std::uint64_t lines_total = 0;            ///< 0: endless
  bool confirm = false;                     ///< the source says `confirm: count`
  unsigned line_bytes = 100;                ///< with the line feed; a line is at least as long as its number needs
  std::chrono::seconds duration{0};         ///< 0: until a signal
  bool quiet = false;                       ///< only the last line
};

// Registers of unit U, the same for holding and input, zero-based, big-endian:
//    0-1  float32  pressure, bar            8     int16   temperature, 0.1 degrees
//    2-3  float32  flow, m3/h               9     uint16  status: bit 0 running, 1 valve open, 2 alarm
//    4-5  float32  bearing temperature      10    uint16  U
//    6-7  uint32   pieces made              12-15 uint64  milliseconds since the start
//   16-23 string   "plant unit U"
// Coils and discrete inputs 0-2: the status bits; 3-15: off.

/// Runs until SIGTERM or SIGINT, the end of `duration`, or until all lines of lines_total are confirmed (without
/// confirm: sent). The last line on standard output tells the counts. Gives 0; or 1 when it could not listen, had
/// nothing to do, or ended before lines_total was reached.
///
/// The confirm protocol, from the device's side: the gateway's first line after connecting is the number of records of
/// this source it has ever committed, each further one the new number. A device that was just started numbers its lines
/// from there. Later it drops what the first number covers and sends the rest again: each line arrives once.
int simulate(const simulate_options& options);

} // namespace holdfast::ctl
