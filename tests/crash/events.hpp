#pragma once

#include <cstdint>

namespace holdfast::crash {

/// What the recorder writes down of a life of the store: one `event` after the other, each followed by its name and its
/// data. What goes to the disk stands there before it is done, what is on the disk stands there after; so an
/// acknowledgement stands behind the sync that it relies on, and a confirmation in front of the deletion it allows.
/// `handle` numbers the opened files of one life.
enum class kind : std::uint32_t {
  started,    ///< a new life; handles and numbers of events begin anew
  opened,     ///< handle, name; a: how_opened
  written,    ///< handle; a: offset; data
  synced,     ///< handle; a: events before this number are meant, when the system call began
  stable,     ///< handle; a: number of the one write that is on the disk (O_DSYNC)
  resized,    ///< handle or name; a: length
  allocated,  ///< handle; a: length that the file has at least
  renamed,    ///< name; data: the new name
  removed,    ///< name
  sent,       ///< name: endpoint; data: header of a message to a peer of the store
  received,   ///< name: endpoint; data: header of a message from a peer
};

enum how_opened : std::uint64_t { plain, truncated, directory_itself };

struct event {
  kind what;
  std::uint32_t name_bytes;
  std::uint64_t handle;
  std::uint64_t a;
  std::uint64_t data_bytes;
};

} // namespace holdfast::crash
