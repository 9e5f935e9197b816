#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, RFC 3720 appendix B.4). By the CPU's instruction where it has
/// one (SSE 4.2), else by table. Debian 12 packages no library for it.
std::uint32_t crc32c(std::string_view bytes) noexcept;

/// The table version, for machines without the instruction and for the test that compares both.
std::uint32_t crc32c_portable(std::string_view bytes) noexcept;

} // namespace holdfast
