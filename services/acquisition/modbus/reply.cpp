#include "services/acquisition/modbus/reply.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

namespace holdfast::acquisition::modbus {

namespace {

using bytes = std::span<const std::uint8_t>;

constexpr std::uint8_t exception_flag = 0x80;
constexpr std::size_t crc_bytes = 2;
constexpr std::size_t exception_bytes = 3; // unit, function, code

unsigned word(bytes at) {
  return static_cast<unsigned>(at[0]) << 8 | at[1];
}

reply refused(std::string_view what, std::size_t is, std::size_t wanted) {
  return {{}, {}, 0, fmt::format("{} {} instead of {}", what, is, wanted)};
}

/// Of the values alone. The rest of the last byte of bits is of no meaning.
std::size_t value_bytes(const request& asked) {
  return reads_bits(asked) ? (asked.count + 7U) / 8U : asked.count * 2U;
}

reply values(const request& asked, bytes data) {
  reply out;
  if (reads_bits(asked))
    for (std::size_t i = 0; i != asked.count; ++i)
      out.bits.push_back(data[i / 8] >> i % 8 & 1);
  else
    for (std::size_t i = 0; i != asked.count; ++i)
      out.registers.push_back(static_cast<std::uint16_t>(word(data.subspan(i * 2, 2))));
  return out;
}

bool is_exception(bytes body) {
  return body.size() > 1 && (body[1] & exception_flag) != 0;
}

/// `body` is unit and PDU.
reply parse(const request& asked, bytes body) {
  if (body.size() < exception_bytes)
    return refused("size", body.size(), value_bytes(asked) + exception_bytes);
  if (body[0] != asked.unit)
    return refused("unit", body[0], asked.unit);
  if ((body[1] & ~exception_flag) != asked.function)
    return refused("function", body[1], asked.function);
  if (is_exception(body)) {
    if (body.size() != exception_bytes)
      return refused("size of an exception", body.size(), exception_bytes);
    if (body[2] == 0)
      return {{}, {}, 0, "exception 0"};
    return {{}, {}, body[2], {}};
  }
  if (body[2] != value_bytes(asked))
    return refused("byte count", body[2], value_bytes(asked));
  if (body.size() != value_bytes(asked) + exception_bytes)
    return refused("size", body.size(), value_bytes(asked) + exception_bytes);
  return values(asked, body.subspan(exception_bytes));
}

} // namespace

bool reads_bits(const request& asked) {
  return asked.function <= 2;
}

std::array<std::uint8_t, 12> encode(const request& asked) {
  const auto high = [](std::uint16_t n) { return static_cast<std::uint8_t>(n >> 8); };
  const auto low = [](std::uint16_t n) { return static_cast<std::uint8_t>(n & 0xff); };
  return {high(asked.transaction), low(asked.transaction), 0, 0, 0, 6, asked.unit, asked.function,
          high(asked.address), low(asked.address), high(asked.count), low(asked.count)};
}

reply parse_tcp(const request& asked, bytes frame) {
  if (frame.size() < mbap_bytes)
    return refused("size of a header", frame.size(), mbap_bytes);
  const auto body = frame.subspan(mbap_bytes);
  if (const auto transaction = word(frame); transaction != asked.transaction)
    return refused("transaction", transaction, asked.transaction);
  if (const auto protocol = word(frame.subspan(2)); protocol != 0)
    return refused("protocol", protocol, 0);
  if (const auto length = word(frame.subspan(4)); length != body.size() && !is_exception(body))
    return refused("length", length, body.size());
  return parse(asked, body);
}

reply parse_rtu(const request& asked, bytes frame) {
  return parse(asked, frame.first(frame.size() - std::min(frame.size(), crc_bytes)));
}

} // namespace holdfast::acquisition::modbus
