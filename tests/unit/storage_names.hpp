#pragma once

// Names in a file of LMDB's, changed as a disk changes them.

#include <cstdint>
#include <cstring>
#include <string>

namespace test {

/// Calls with where each node's key is that is this one, in any leaf of the file.
template <class F> void each_node(const std::string& bytes, const std::string& key, F visit) {
  const auto size = static_cast<std::uint16_t>(key.size());
  std::string node(sizeof size, '\0');
  std::memcpy(node.data(), &size, sizeof size);
  node += key;
  for (auto at = bytes.find(node); at != std::string::npos; at = bytes.find(node, at + node.size()))
    visit(at + sizeof size);
}

/// The file with another key of the same length in its place.
inline std::string with_key(const std::string& bytes, const std::string& key, const std::string& other) {
  auto out = bytes;
  each_node(bytes, key, [&](std::size_t at) { out.replace(at, key.size(), other); });
  return out;
}

/// The file with bits changed in a byte that lies so far from the nodes' keys.
inline std::string with_bits(const std::string& bytes, const std::string& key, std::ptrdiff_t from_key, unsigned bits) {
  auto out = bytes;
  each_node(bytes, key, [&](std::size_t at) {
    auto& byte = out[at + static_cast<std::size_t>(from_key)];
    byte = static_cast<char>(static_cast<unsigned char>(byte) ^ bits);
  });
  return out;
}

/// The flags of a node with that key, seen from the key, and those in the record of a table of that name: their upper
/// byte.
inline constexpr std::ptrdiff_t node_flags = -4;
inline std::ptrdiff_t table_flags(const std::string& name) { return static_cast<std::ptrdiff_t>(name.size()) + 5; }

} // namespace test
