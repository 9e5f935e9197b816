#pragma once

// A request that reads, and whether what came back is its answer. Pure: bytes out, bytes in. libmodbus finds where an
// answer ends and checks a serial line's CRC; of a TCP header it would compare the transaction only.
//
// MODBUS Messaging on TCP/IP Implementation Guide V1.0b: 3.1.3 (the header: transaction, protocol and unit are copied
// from the request, the length counts what follows it). MODBUS Application Protocol V1.1b3: 6.1 to 6.4 (the functions
// that read), 7 (exceptions).

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace holdfast::acquisition::modbus {

/// What is asked for.
struct request {
  std::uint16_t transaction = 0;         ///< TCP only
  std::uint8_t unit = 0;
  std::uint8_t function = 0;             ///< 1 to 4
  std::uint16_t address = 0;
  std::uint16_t count = 0;               ///< registers or bits, within the protocol's limits
};

/// Functions 1 and 2 read bits, 3 and 4 registers of 16 bits.
bool reads_bits(const request& asked);

/// On TCP as it is; unit and PDU, which a serial line wants, are from `mbap_bytes` on.
std::array<std::uint8_t, 12> encode(const request& asked);

/// Transaction, protocol, and the length of what follows.
inline constexpr std::size_t mbap_bytes = 6;

/// Exactly one of: values, as many as were asked for; an exception; a problem.
struct reply {
  std::vector<std::uint16_t> registers;
  std::vector<std::uint8_t> bits;        ///< a byte for each
  std::uint8_t exception = 0;
  std::string problem;                   ///< why this is no answer to the request: nothing of it may be believed
};

/// `frame` is all that was read for the request, header and CRC included. An exception's length in the header is not
/// compared: no value depends on it, and there are devices that get it wrong in exceptions only.
reply parse_tcp(const request& asked, std::span<const std::uint8_t> frame);

/// The CRC is not checked here.
reply parse_rtu(const request& asked, std::span<const std::uint8_t> frame);

} // namespace holdfast::acquisition::modbus
