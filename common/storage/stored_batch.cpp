#include "common/storage/stored_batch.hpp"

#include "common/core/crc32c.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <endian.h>
#include <string>

namespace holdfast::storage {

namespace {

constexpr std::uint8_t layout_version = 2;
constexpr std::uint8_t oldest_reader = 2;
constexpr std::size_t seal_at = 24;  // the end of version 1's header

void put32(char* to, std::uint32_t v) noexcept {
  v = htole32(v);
  std::memcpy(to, &v, sizeof v);
}
void put64(char* to, std::uint64_t v) noexcept {
  v = htole64(v);
  std::memcpy(to, &v, sizeof v);
}
std::uint32_t get32(const char* from) noexcept {
  std::uint32_t v;
  std::memcpy(&v, from, sizeof v);
  return le32toh(v);
}
std::uint64_t get64(const char* from) noexcept {
  std::uint64_t v;
  std::memcpy(&v, from, sizeof v);
  return le64toh(v);
}

std::uint32_t seal_of(const char* header, const batch_place& at) {
  std::string all(at.table);
  ((all += '\0') += at.key) += '\0';
  return crc32c(all.append(header, seal_at));
}

bool seal_fits(const char* header, const batch_place& at) { return get32(header + seal_at) == seal_of(header, at); }

// Flips the one bit without which the seal is right. False: it is not that.
bool mended(char* header, std::size_t bytes, const batch_place& at) {
  for (std::size_t bit = 0; bit < bytes * 8; ++bit) {
    auto& byte = header[bit / 8];
    byte = static_cast<char>(byte ^ 1 << bit % 8);
    if (seal_fits(header, at))
      return true;
    byte = static_cast<char>(byte ^ 1 << bit % 8);
  }
  return false;
}

std::size_t header_size(std::string_view value) {
  return value.starts_with("\x01\x01") ? seal_at : stored_batch::header_bytes;
}

// The header as it was written; false: that cannot be known.
bool believe(std::string_view value, std::size_t header, const batch_place& at, bool mend,
             std::array<char, stored_batch::header_bytes>& copy) {
  std::copy_n(value.data(), header, copy.data());
  return header == seal_at || seal_fits(copy.data(), at) || (mend && mended(copy.data(), header, at));
}

} // namespace

void stored_batch::encode(char* to, const batch_place& at) const {
  to[0] = static_cast<char>(layout_version);
  to[1] = static_cast<char>(oldest_reader);
  to[2] = static_cast<char>(gap_reason);
  to[3] = historical ? 1 : 0;
  put32(to + 4, record_count);
  put32(to + 8, crc);
  put32(to + 12, static_cast<std::uint32_t>(payload.size()));
  put64(to + 16, static_cast<std::uint64_t>(stored_unix_nanos));
  put32(to + seal_at, seal_of(to, at));
  if (!payload.empty())
    std::memcpy(to + header_bytes, payload.data(), payload.size());
}

std::optional<stored_batch> stored_batch::decode(std::string_view value, const batch_place& at, bool mend) {
  const auto header = header_size(value);
  if (value.size() < header)
    return std::nullopt;
  stored_batch b;
  b.sealed = header == header_bytes;
  std::array<char, header_bytes> copy;
  if (!believe(value, header, at, mend, copy))
    return std::nullopt;
  char* p = copy.data();
  if (static_cast<std::uint8_t>(p[1]) > layout_version || get32(p + 12) != value.size() - header)
    return std::nullopt;
  b.gap_reason = static_cast<std::uint8_t>(p[2]);
  b.historical = (p[3] & 1) != 0;
  b.record_count = get32(p + 4);
  b.crc = get32(p + 8);
  b.stored_unix_nanos = static_cast<std::int64_t>(get64(p + 16));
  b.payload = value.substr(header);
  return b;
}

bool stored_batch::length_fits(std::string_view value, const batch_place& at) {
  const auto header = header_size(value);
  std::array<char, header_bytes> copy;
  return value.size() >= header
         && (!believe(value, header, at, true, copy) || get32(copy.data() + 12) == value.size() - header);
}

bool stored_batch::intact() const noexcept { return payload.empty() ? gap_reason != 0 : crc32c(payload) == crc; }

} // namespace holdfast::storage
