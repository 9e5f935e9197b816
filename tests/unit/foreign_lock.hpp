#pragma once

// Another program, with another version of LMDB, that has a directory's file open.

#include "storage_support.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace test {

class foreign_lock {
public:
  /// `header` is the beginning of its lock file.
  foreign_lock(const std::string& directory, const std::string& header) : path_(directory + "/lock.mdb") {
    write_file(path_, header + std::string(8192 - header.size(), '\0'));
    std::array<int, 2> ready{};
    REQUIRE(::pipe(ready.data()) == 0);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0)
      hold(ready[1]);
    ::close(ready[1]);
    char held = 0;
    REQUIRE(::read(ready[0], &held, 1) == 1);
    ::close(ready[0]);
  }
  ~foreign_lock() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  foreign_lock(const foreign_lock&) = delete;
  foreign_lock& operator=(const foreign_lock&) = delete;

private:
  [[noreturn]] void hold(int ready) const {
    struct flock first {};  // as LMDB of any version does
    first.l_type = F_RDLCK;
    first.l_whence = SEEK_SET;
    first.l_len = 1;
    if (::fcntl(::open(path_.c_str(), O_RDWR), F_SETLK, &first) == 0 && ::write(ready, "x", 1) == 1)
      ::pause();
    ::_exit(1);
  }
  std::string path_;
  pid_t child_ = -1;
};

inline const std::string another_format{"\xde\xc0\xef\xbe\x02\x00\x01\x7f", 8};  ///< LMDB's, but its layout unknown
inline const std::string another_magic{"elsewise", 8};

} // namespace test
