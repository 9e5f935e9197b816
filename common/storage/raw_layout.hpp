#pragma once

// The words of LMDB's layout (raw_file.hpp), and how they are read; for raw_file's sources only.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace holdfast::storage::layout {

inline constexpr std::uint32_t magic = 0xBEEFC0DE;
inline constexpr std::size_t header_bytes = 16;
inline constexpr std::size_t node_bytes = 8;
inline constexpr std::size_t database_bytes = 48;
inline constexpr std::uint16_t branch = 0x01;
inline constexpr std::uint16_t leaf = 0x02;
inline constexpr std::uint16_t overflow = 0x04;
inline constexpr std::uint16_t dirty = 0x10;
inline constexpr std::uint16_t big_value = 0x01;
inline constexpr std::uint16_t sub_database = 0x02;
inline constexpr std::uint64_t no_page = UINT64_MAX;

/// Pages that a long value lies on, its header before it.
constexpr std::uint64_t pages_of(std::uint64_t value_bytes, std::uint64_t page_bytes) {
  return (header_bytes - 1 + value_bytes) / page_bytes + 1;
}

template <class T> T at(std::string_view bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

} // namespace holdfast::storage::layout
