#pragma once

#include <cstdint>
#include <string>

namespace holdfast::storage {

/// Bytes that the file system of this path has for us.
std::uint64_t available_bytes(const std::string& path);

/// Room on the disk kept in a file of its own, <directory>/reserve, for the day the disk is full: given up, it lets
/// deletions be committed, which need a few new pages before they free any.
class reserve {
public:
  static constexpr std::uint64_t bytes = 2 << 20;

  explicit reserve(const std::string& directory);

  bool held() const noexcept { return held_; }
  /// Takes it where the disk has twice as much: it must not be what fills the disk. Returns whether it is held.
  bool take();
  /// Returns whether there was something to give.
  bool give_up();

private:
  std::string path_;
  bool held_ = false;
};

} // namespace holdfast::storage
