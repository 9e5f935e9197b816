#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::storage {

/// A batch as it lies in an LMDB file, under its first seq. Layout, little-endian:
///
///   0   u8   version of this layout (1)
///   1   u8   oldest reader that understands it (1)
///   2   u8   gap reason (v1.GapReason): 0, or there is no payload and these records will never come
///   3   u8   flags: 1 historical (arrived as backlog)
///   4   u32  number of records
///   8   u32  CRC-32C of the payload
///   12  u32  payload length
///   16  i64  when it was stored, CLOCK_REALTIME nanoseconds
///   24  payload
///
/// A crash leaves whole values only (LMDB's transactions); the checksum finds what the disk changed later.
struct stored_batch {
  static constexpr std::size_t header_bytes = 24;

  std::uint32_t record_count = 0;
  std::uint32_t crc = 0;
  std::uint32_t gap_reason = 0;
  bool historical = false;
  std::int64_t stored_unix_nanos = 0;
  std::string_view payload;

  std::size_t encoded_bytes() const noexcept { return header_bytes + payload.size(); }
  void encode(char* to) const noexcept;
  /// nullopt: not such a value (too short, wrong length, newer than this reader).
  static std::optional<stored_batch> decode(std::string_view value) noexcept;
  /// The payload is what it was when it was stored.
  bool intact() const noexcept;
};

} // namespace holdfast::storage
