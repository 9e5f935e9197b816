#pragma once

#include "common/storage/lmdb.hpp"
#include "common/storage/start_marker.hpp"

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>
#include <string>

namespace holdfast::storage {

/// The directory belongs to something else; nothing in it was touched.
struct foreign_directory : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Whether all of these are among the names. A file that has what no other program's has is ours, also where what says
/// so is damaged.
bool has_tables(const std::vector<std::string>& names, const std::vector<std::string_view>& wanted);

/// A first start makes its tables one after the other, and none is ever removed: where one is missing and another has
/// been made behind it, the disk has changed its name, and an empty one in its place would forget what it held. To be
/// called before any is opened, for that makes it. Throws error.
void check_tables(const std::vector<std::string>& names, const std::vector<std::string_view>& in_order);

/// Opens "meta", which says whose file this is, or makes it where there is nothing. `own`: what only our files have.
/// Throws foreign_directory, and error where it is ours and damaged.
table open_meta(environment& env, const std::string& what, const std::vector<std::string_view>& own);

/// How a service opens its LMDB file.
struct opening {
  std::function<void()> open;       ///< throws error or foreign_directory
  std::function<void()> close;      ///< what open() left
  /// The file is damaged: another takes its place (set_aside()). `again`: it did so before, in this start.
  std::function<void(const std::string& cause, bool again)> put_aside;
  std::function<bool()> make_room;  ///< on a full disk; whether there was something to give
};

/// Opens the file. Damaged, by what earlier lives or an examination say or by what opening it meets, it is put aside,
/// and what takes its place is opened; that once again. What is not damage is thrown.
void open_or_set_aside(const std::string& directory, start_marker& starts, const opening& how);

} // namespace holdfast::storage
