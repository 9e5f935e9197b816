#pragma once

#include <iosfwd>
#include <string>

namespace holdfast::store {

// For holdfastctl. Both open the file read-only, beside a running store if there is one, and exit like a command:
// 0 well, 1 something is wrong with the content, 2 could not be read (the reason goes to `out`).

/// Size, epoch, and per class: records stored, records that gave way and are not told yet, seq range, bytes; per
/// destination: what is confirmed.
int stat(const std::string& directory, bool json, std::ostream& out);

/// Reads every batch and checks its checksum, its header and that numbers are contiguous; prints what is wrong.
int verify(const std::string& directory, std::ostream& out);

} // namespace holdfast::store
