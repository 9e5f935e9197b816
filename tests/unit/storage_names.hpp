#pragma once

// Names in a file of LMDB's, changed as a disk changes them.

#include <cstdint>
#include <cstring>
#include <string>

namespace test {

/// The file with another name of the same length for every node that has this key, as a leaf has it: size, then key.
inline std::string with_key(std::string bytes, const std::string& key, const std::string& other) {
  const auto size = static_cast<std::uint16_t>(key.size());
  std::string node(sizeof size, '\0');
  std::memcpy(node.data(), &size, sizeof size);
  node += key;
  for (auto at = bytes.find(node); at != std::string::npos; at = bytes.find(node, at + node.size()))
    bytes.replace(at + sizeof size, key.size(), other);
  return bytes;
}

} // namespace test
