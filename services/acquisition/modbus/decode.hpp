#pragma once

// From what a device sent to the value of a sample. Pure: registers in, value out.

#include "common/config/config.hpp"
#include "services/acquisition/sample.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace holdfast::acquisition::modbus {

/// monostate goes with quality bad, and only with it.
struct reading {
  decltype(sample::value) value;
  acquisition::quality quality = acquisition::quality::bad;
};

/// Whether a point lies in a table of bits (coils, discrete inputs) and not of 16-bit registers.
bool in_bit_table(const config::modbus_point& point);

/// Registers (or bits) the point covers, at least 1.
unsigned width(const config::modbus_point& point);

/// The point's value from its registers, the first of which is the one at its address. Signed integers give int64,
/// unsigned ones uint64, so a stream never changes its type; with a scale or an offset both give a double. A bit gives
/// a bool. Too few registers, and floats that are not a number (how many devices say "sensor broken"), give no value.
reading decode(const config::modbus_point& point, std::span<const std::uint16_t> registers);

/// The same for coils and discrete inputs, one byte per bit.
reading decode_bit(std::span<const std::uint8_t> bits);

/// Text of a device: cut at the first NUL, padding removed. Valid UTF-8 stays; anything else is taken as Latin-1.
std::string text_of_bytes(std::string_view raw);

} // namespace holdfast::acquisition::modbus
