#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::store {

/// Records in a serialised v1.Batch, counted by walking its top-level fields only; nullopt: the bytes are not a message.
/// The number of a record is its place in the batch, so a wrong count would shift every number behind it.
std::optional<std::uint64_t> count_records(std::string_view batch) noexcept;

} // namespace holdfast::store
