#pragma once

#include "common/storage/raw_file.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::store {

inline constexpr std::string_view class_prefix = "class/";  ///< of the tables of batches

/// Where a table is not in a damaged file's list, and one is there whose name differs from it in one bit, the disk has
/// changed that bit: it gets its name back. The tables of rows.
void mend_row_tables(storage::raw_file::databases& tables);

/// The same for the classes that have given numbers (class -> highest one): each has a table. Returns those for which
/// none is found.
std::vector<std::string> mend_class_tables(storage::raw_file::databases& tables,
                                           const std::map<std::string, std::uint64_t>& given);

} // namespace holdfast::store
