#include "common/storage/reserve.hpp"

#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::storage {

namespace fs = std::filesystem;

std::uint64_t available_bytes(const std::string& path) {
  std::error_code ignored;
  const auto space = fs::space(path, ignored);
  return ignored ? 0 : space.available;
}

reserve::reserve(const std::string& directory) : path_((fs::path(directory) / "reserve").string()) {
  struct stat status {};
  held_ = ::stat(path_.c_str(), &status) == 0 && static_cast<std::uint64_t>(status.st_blocks) * 512 >= bytes;
}

bool reserve::take() {
  if (held_ || available_bytes(fs::path(path_).parent_path()) < 2 * bytes)
    return held_;
  const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return false;
  held_ = ::posix_fallocate(fd, 0, bytes) == 0;
  ::close(fd);
  if (!held_)
    ::unlink(path_.c_str());
  return held_;
}

bool reserve::give_up() {
  held_ = false;
  return ::unlink(path_.c_str()) == 0;
}

} // namespace holdfast::storage
