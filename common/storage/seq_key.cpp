#include "common/storage/lmdb.hpp"

#include <cstring>
#include <endian.h>

namespace holdfast::storage {

std::string seq_key(std::uint64_t seq) {
  const auto big = htobe64(seq);
  return {reinterpret_cast<const char*>(&big), sizeof big};
}

std::uint64_t key_seq(std::string_view key) {
  std::uint64_t big = 0;
  if (key.size() == sizeof big)
    std::memcpy(&big, key.data(), sizeof big);
  return be64toh(big);
}

} // namespace holdfast::storage
