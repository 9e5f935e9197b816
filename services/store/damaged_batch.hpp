#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::store {

inline constexpr unsigned most_damaged_batches = 64;  // files of them in a directory

/// What lies in the place of a batch and is not what was written there is told as a gap, and later removed: its bytes
/// are kept beside the store, in DIRECTORY/batch.damaged-CLASS-SEQ, for whoever can read more of them, and are on the
/// disk when this returns. Once for each; where other bytes have that name, of the same number in another epoch, it is
/// followed by .2 and so on. Beyond the limit, or where it cannot be written, the log alone tells of it. Its path if it
/// is there.
std::string keep_damaged(const std::string& directory, const std::string& record_class, std::uint64_t seq,
                         std::string_view value);

} // namespace holdfast::store
