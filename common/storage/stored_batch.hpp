#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::storage {

/// Where a batch lies: its bytes say nothing of that, and under another number they would be other records.
struct batch_place {
  std::string_view table;  // whose records: the store's class, the archive's origin with the first seq
  std::string_view key;    // in LMDB
};

/// A batch as it lies in an LMDB file, under its first seq. Layout, little-endian:
///
///   0   u8   version of this layout (2)
///   1   u8   oldest reader that understands it (2)
///   2   u8   gap reason (v1.GapReason): 0, or there is no payload and these records will never come
///   3   u8   flags: 1 historical (arrived as backlog)
///   4   u32  number of records
///   8   u32  CRC-32C of the payload
///   12  u32  payload length
///   16  i64  when it was stored, CLOCK_REALTIME nanoseconds
///   24  u32  CRC-32C of table, 0x00, key, 0x00 and the 24 bytes before this
///   28  payload
///
/// A crash leaves whole values only (LMDB's transactions); the checksums find what the disk changed later, and the
/// header's which bit it was, if it was one (over so few bytes a CRC-32C tells all changes of up to five bits apart
/// from none). Version 1 ended its header at 24, and its place is believed.
struct stored_batch {
  static constexpr std::size_t header_bytes = 28;

  std::uint32_t record_count = 0;
  std::uint32_t crc = 0;
  std::uint32_t gap_reason = 0;
  bool historical = false;
  std::int64_t stored_unix_nanos = 0;
  std::string_view payload;
  bool sealed = true;  // version 2

  std::size_t encoded_bytes() const noexcept { return header_bytes + payload.size(); }
  void encode(char* to, const batch_place& at) const;
  /// nullopt: not what was written there (too short, wrong length or seal), or for newer readers.
  /// `mend`: looks for the one bit that may have changed, which takes 225 checksums where it is something else.
  static std::optional<stored_batch> decode(std::string_view value, const batch_place& at, bool mend = true);
  /// False: it is not as long as its header says; true also where nothing of that header can be believed.
  static bool length_fits(std::string_view value, const batch_place& at);
  /// The payload is what it was when it was stored.
  bool intact() const noexcept;
};

} // namespace holdfast::storage
