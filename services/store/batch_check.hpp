#pragma once

#include "common/storage/stored_batch.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::store {

/// Records in a serialised v1.Batch, counted by walking its top-level fields only; nullopt: the bytes are no message.
/// The number of a record is its place in the batch, so a wrong count would shift every number behind it.
std::optional<std::uint64_t> count_records(std::string_view batch) noexcept;

/// What a stored batch holds. The header of layout 1 has no checksum: there the payload has the last word on how many
/// records there are, and on whether it is one, for a bit that flips in the header must hide none.
struct batch_content {
  std::uint64_t records = 0;
  bool whole = false;
  bool counted = false;  // a checksum guards the number of records
};
batch_content content_of(const storage::stored_batch& b) noexcept;

} // namespace holdfast::store
