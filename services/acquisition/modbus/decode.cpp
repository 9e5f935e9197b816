#include "services/acquisition/modbus/decode.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace holdfast::acquisition::modbus {

using config::modbus_point;
using config::register_type;

namespace {

constexpr reading no_value{};

std::uint16_t swapped(std::uint16_t r) {
  return static_cast<std::uint16_t>(r << 8 | r >> 8);
}

/// The raw number: registers joined in the point's byte and word order.
std::uint64_t joined(const modbus_point& point, std::span<const std::uint16_t> registers) {
  std::uint64_t raw = 0;
  for (std::size_t i = 0; i != registers.size(); ++i) {
    const auto r = registers[point.big_endian_words ? i : registers.size() - 1 - i];
    raw = raw << 16 | (point.big_endian_bytes ? r : swapped(r));
  }
  return raw;
}

bool is_plain(const modbus_point& point) {
  return point.scale == 1.0 && point.offset == 0.0;
}

reading real(const modbus_point& point, double raw) {
  const auto value = raw * point.scale + point.offset;
  if (!std::isfinite(value))
    return no_value;
  return {value, quality::good};
}

/// Integers stay exact as long as nobody asked for arithmetic.
template <class Integer> reading integer(const modbus_point& point, Integer raw) {
  if (is_plain(point))
    return {raw, quality::good};
  return real(point, static_cast<double>(raw));
}

reading number(const modbus_point& point, std::uint64_t raw) {
  switch (point.type) {
  case register_type::int16:
    return integer(point, std::int64_t{static_cast<std::int16_t>(raw)});
  case register_type::int32:
    return integer(point, std::int64_t{static_cast<std::int32_t>(raw)});
  case register_type::int64:
    return integer(point, static_cast<std::int64_t>(raw));
  case register_type::float32:
    return real(point, static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(raw))));
  case register_type::float64:
    return real(point, std::bit_cast<double>(raw));
  default:
    return integer(point, raw); // the unsigned ones: joined() never gives more than their width
  }
}

/// Word order does not apply: no device writes its text backwards.
std::string text(const modbus_point& point, std::span<const std::uint16_t> registers) {
  std::string raw;
  for (auto r : registers) {
    const auto word = point.big_endian_bytes ? r : swapped(r);
    raw += static_cast<char>(word >> 8);
    raw += static_cast<char>(word & 0xff);
  }
  raw.resize(std::min<std::size_t>(raw.size(), point.length));
  return text_of_bytes(raw);
}

/// Bytes of the UTF-8 character at the front, 0 if there is none: no overlong forms, no surrogates, nothing above
/// U+10FFFF, because Protobuf and JSON refuse these.
std::size_t utf8_character(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto lead = byte(0);
  if (lead < 0x80)
    return 1;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || s.size() < size)
    return 0;
  for (std::size_t i = 1; i != size; ++i)
    if ((byte(i) & 0xc0) != 0x80)
      return 0;
  const auto second = byte(1);
  const bool refused = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                       (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
  return refused ? 0 : size;
}

bool is_utf8(std::string_view s) {
  while (!s.empty()) {
    const auto size = utf8_character(s);
    if (size == 0)
      return false;
    s.remove_prefix(size);
  }
  return true;
}

} // namespace

bool in_bit_table(const modbus_point& point) {
  return point.table == config::register_table::coil || point.table == config::register_table::discrete;
}

unsigned width(const modbus_point& point) {
  if (in_bit_table(point) || point.bit)
    return 1;
  switch (point.type) {
  case register_type::int32:
  case register_type::uint32:
  case register_type::float32:
    return 2;
  case register_type::int64:
  case register_type::uint64:
  case register_type::float64:
    return 4;
  case register_type::string:
    return std::max(1U, (point.length + 1) / 2);
  default:
    return 1;
  }
}

reading decode(const modbus_point& point, std::span<const std::uint16_t> registers) {
  const auto needed = width(point);
  if (registers.size() < needed)
    return no_value;
  registers = registers.first(needed);
  if (point.bit || point.type == register_type::bit) {
    const auto bit = point.bit.value_or(0);
    return {(bit < 16 && (joined(point, registers) >> bit & 1) != 0), quality::good};
  }
  if (point.type == register_type::string)
    return {text(point, registers), quality::good};
  return number(point, joined(point, registers));
}

reading decode_bit(std::span<const std::uint8_t> bits) {
  if (bits.empty())
    return no_value;
  return {bits.front() != 0, quality::good};
}

std::string text_of_bytes(std::string_view raw) {
  raw = raw.substr(0, raw.find('\0'));
  while (!raw.empty() && raw.back() == ' ')
    raw.remove_suffix(1);
  while (!raw.empty() && raw.front() == ' ')
    raw.remove_prefix(1);
  if (is_utf8(raw))
    return std::string(raw);
  std::string out;
  for (char c : raw) {
    const auto latin1 = static_cast<unsigned char>(c);
    if (latin1 >= 0x80) {
      out += static_cast<char>(0xc0 | latin1 >> 6);
      out += static_cast<char>(0x80 | (latin1 & 0x3f));
    } else {
      out += c;
    }
  }
  return out;
}

} // namespace holdfast::acquisition::modbus
