#pragma once

#include "common/storage/lmdb.hpp"

#include <fmt/format.h>
#include <lmdb.h>

#include <string_view>

namespace holdfast::store {

/// A row of the store's file. Checksums guard payloads only: one that is not understood says that the disk has changed
/// the file. Throws storage::error.
template <class Message> Message parse(std::string_view bytes, const char* what) {
  Message m;
  if (!m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw storage::error(MDB_CORRUPTED, fmt::format("failed to read {}: not understood", what));
  return m;
}

} // namespace holdfast::store
