#pragma once

// A file system of a few MiB of its own, to be filled. Where mounting is not permitted the test says so and does
// nothing.

#include "storage_support.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <string>
#include <sys/mount.h>
#include <unistd.h>

namespace test {

class small_disk {
public:
  explicit small_disk(std::uint64_t bytes) {
    mounted_ = ::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, fmt::format("size={}", bytes).c_str()) == 0;
    if (mounted_)
      std::filesystem::create_directories(path("store"));
    else
      WARN("skipped: a file system cannot be mounted here");
  }
  ~small_disk() {
    if (mounted_)
      ::umount2(dir_.path().c_str(), MNT_DETACH);
  }

  bool mounted() const { return mounted_; }
  std::string path(const std::string& below) const { return dir_.path(below); }
  std::uint64_t available() const { return std::filesystem::space(dir_.path()).available; }

  /// Another program takes all but so many bytes.
  void fill_but(std::uint64_t bytes) const {
    std::filesystem::remove(path("other"));
    const auto taken = available();
    if (taken <= bytes)
      return;
    const int fd = ::open(path("other").c_str(), O_RDWR | O_CREAT, 0600);
    REQUIRE(::posix_fallocate(fd, 0, static_cast<off_t>(taken - bytes)) == 0);
    ::close(fd);
  }
  void make_room() const { std::filesystem::remove(path("other")); }

private:
  temporary_directory dir_;
  bool mounted_ = false;
};

} // namespace test
