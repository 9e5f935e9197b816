#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::storage {

/// What can be said of LMDB's file without opening it: LMDB maps it and trusts it, so a file that is shorter than its
/// meta page says ends the process with SIGBUS. The layout (LMDB 0.9, 64 bit, in the machine's byte order): two meta
/// pages, 0 and 1, the one with the higher transaction number counts. Each has
///
///   0   16  page header, its flags (u16) at 10
///   16  u32 magic 0xBEEFC0DE      20  u32 version 1
///   24  u64 address of the map    32  u64 size of the map
///   40  48  root of the free list, begins with u32 page size
///   88  48  root of the main database
///   136 u64 last page in use      144 u64 transaction number

/// Empty: may be opened, or is not there. Else what is wrong with <directory>/data.mdb.
std::string damage_of(const std::string& directory);

/// Tells a data.mdb from another one that lies in its place later, or was copied over it. Not by its device, whose
/// number may change when the machine starts.
struct file_state {
  std::uint64_t inode = 0;  ///< 0: there is no file
  std::uint64_t transaction = 0;
  std::int64_t changed_nanos = 0;  ///< its inode, which no program can set

  /// `now` is the same file: with more commits, or as nobody has touched it since.
  bool lives_on_in(const file_state& now) const noexcept;
};

file_state state_of(const std::string& directory);

/// A page that was taken and given back in one commit, at the end of the file, is never written: a sound file may lack
/// a few pages there. They are added as a hole, so that no access can end the process. Throws error.
void complete_data_file(const std::string& directory);

/// A file is on the disk when it is synced, its name only when its directory is: without this a power cut soon after
/// the first start could leave the records and lose the file. Syncs the directory, and the one above it where we may,
/// as the directory may be new itself. Returns 0 or errno.
int sync_names(const std::string& directory);

/// LMDB writes its lock file through a map: without blocks behind it, on a full disk, the process would end with
/// SIGBUS. Throws error where there is no room.
void back_lock_file(const std::string& directory);

/// What a first start has begun that failed for want of room is not a damaged file.
void remove_unfinished(const std::string& directory);

/// The file that another is made in, to take the place of a damaged one: <directory>/salvage/data.mdb.
std::string salvage_directory(const std::string& directory);
/// What a start before this one made of it, or left of it: a whole copy takes its place if nothing is there, what was
/// begun goes.
void finish_salvage(const std::string& directory);

/// Renames <directory>/data.mdb (it is never deleted), logs why and returns the new path. Not while it is open.
/// `salvaged`: what salvage_directory() holds takes its place, also where the machine stops meanwhile.
std::string set_aside(const std::string& directory, const std::string& cause, bool salvaged = false);

} // namespace holdfast::storage
