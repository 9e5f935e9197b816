#pragma once

// Values with a unit, as people write them: "250ms", "64KiB", "host:port". Each parser takes the whole text or nothing;
// overflow, signs and fractions are refused.

#include "common/config/config.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::config {

/// "250ms", "5s", "10min", "2h", "7d" or "0"; a bare number has no unit and is refused.
std::optional<milliseconds> parse_duration(std::string_view text);

/// "64KiB", "10GiB", "500MB", "12B" or a bare number. KiB = 1024, kB or KB = 1000.
std::optional<bytes> parse_bytes(std::string_view text);

/// "host:port" or "[ipv6]:port" with a port from 1 to 65535.
std::optional<endpoint> parse_endpoint(std::string_view text);

/// 4 or 6 for a numeric address, an IPv6 one with scope or without; 0: it is none.
unsigned ip_version(std::string_view text);

/// Decimal, or hexadecimal with 0x as register maps have it.
std::optional<std::uint64_t> parse_number(std::string_view text);

/// The shortest spelling that parse_duration reads back: 1min, 90s, 1500ms, 0.
std::string to_text(milliseconds value);

/// The shortest spelling in binary units that parse_bytes reads back: 64KiB, 1000.
std::string to_text(bytes value);

} // namespace holdfast::config
