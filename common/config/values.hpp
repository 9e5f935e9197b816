#pragma once

// What the fields of the configuration are made of; units.hpp reads and writes them.

#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast::config {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A number of bytes; written as 64KiB, 10GiB, 500MB or a plain number.
struct bytes {
  std::uint64_t count = 0;
  friend bool operator==(bytes, bytes) = default;
};

constexpr bytes kib(std::uint64_t n) { return {n << 10}; }
constexpr bytes mib(std::uint64_t n) { return {n << 20}; }
constexpr bytes gib(std::uint64_t n) { return {n << 30}; }

/// host:port; IPv6 hosts in brackets.
struct endpoint {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const endpoint&, const endpoint&) = default;
  std::string text() const;
};

} // namespace holdfast::config
