#include "services/store/batch_check.hpp"

#include "common/core/crc32c.hpp"

namespace holdfast::store {

namespace {

constexpr std::uint64_t records_field = 6;  // v1.Batch.records

bool take_varint(std::string_view& from, std::uint64_t& value) noexcept {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !from.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0)
      return true;
  }
  return false;
}

bool skip(std::string_view& from, std::uint64_t bytes) noexcept {
  if (bytes > from.size())
    return false;
  from.remove_prefix(bytes);
  return true;
}

} // namespace

// Wire types as in the Protobuf encoding guide: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes.
std::optional<std::uint64_t> count_records(std::string_view batch) noexcept {
  std::uint64_t records = 0;
  while (!batch.empty()) {
    std::uint64_t tag = 0;
    std::uint64_t length = 0;
    if (!take_varint(batch, tag) || tag > UINT32_MAX)  // Protobuf drops the bits above and sees a tag there
      return std::nullopt;
    bool sound = false;
    switch (tag & 7) {
      case 0: sound = take_varint(batch, length); break;
      case 1: sound = skip(batch, 8); break;
      case 2: sound = take_varint(batch, length) && skip(batch, length); break;
      case 5: sound = skip(batch, 4); break;
      default: break;
    }
    if (!sound)
      return std::nullopt;
    records += tag == ((records_field << 3) | 2) ? 1 : 0;
  }
  return records;
}

batch_content content_of(const storage::stored_batch& b) noexcept {
  if (b.payload.empty())
    return {b.record_count, b.gap_reason != 0, b.sealed};
  if (crc32c(b.payload) != b.crc)
    return {b.record_count, false, b.sealed};
  if (b.sealed)
    return {b.record_count, true, true};
  const auto records = count_records(b.payload).value_or(0);
  return {records > 0 ? records : b.record_count, true, records > 0};
}

} // namespace holdfast::store
