#pragma once

#include <array>
#include <csignal>
#include <string>

namespace holdfast::storage {

/// For programs that read a file which may be damaged. While it lives: a page that leads LMDB out of the file, or on
/// which it gives up, ends the process with exit code 2 and a word on standard error. One at a time.
class damage_exit {
public:
  explicit damage_exit(const std::string& directory);
  ~damage_exit();
  damage_exit(const damage_exit&) = delete;
  damage_exit& operator=(const damage_exit&) = delete;

private:
  static constexpr std::array signals_{SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
  std::array<struct sigaction, signals_.size()> before_{};
};

} // namespace holdfast::storage
