#pragma once

#include <atomic>
#include <functional>
#include <string>

namespace holdfast::storage {

/// What earlier lives of a process tell the next one about its file: <directory>/starts holds either the number of
/// lives in a row that ended soon and without order (LMDB ends the process over some damage: SIGSEGV, SIGBUS,
/// assertions), or what was found wrong with the file while it was in use, and in which file: another one
/// that was put in its place is not condemned. Never throws: where it cannot be written, nothing is remembered.
class start_marker {
public:
  static constexpr unsigned suspicious = 3;  ///< so many lives in a row, and the file is examined before the next

  /// Counts this life.
  explicit start_marker(const std::string& directory);

  /// Lives before this one that ended without order.
  unsigned failed() const noexcept { return failed_; }
  /// What an earlier life found in this file; empty: nothing.
  const std::string& condemned() const noexcept { return condemned_; }

  /// The file is damaged; the next life must not use it.
  void condemn(const std::string& cause);
  /// This life stood long enough, or ended in order, or the file is another one now. Nothing that condemns is taken
  /// back.
  void settled();
  void file_replaced();

private:
  void write(const std::string& text) const;
  void forget() const;
  std::string directory_;
  std::string path_;
  std::string condemned_;
  unsigned failed_ = 0;
  std::atomic<bool> doomed_ = false;  // condemned in this life, by whichever thread met the damage
};

struct examination {
  std::string damage{};  ///< that was found; empty: none
  std::string missed{};  ///< why nothing can be said of the file
};

/// Runs `look` in a process of its own that may die of damage. Damage is an exception that says so, or a signal as
/// damage raises it; a process that is killed otherwise, lacks memory or takes longer than `limit_millis` says nothing.
examination examine_apart(const std::function<void()>& look, unsigned limit_millis);

/// Looks, apart, at every entry's key of every database and the free list, and begins a write. Empty: nothing found,
/// also where it could not be examined, which the log tells. The file must not be open here.
std::string examine(const std::string& directory, unsigned limit_millis = 2000);

} // namespace holdfast::storage
