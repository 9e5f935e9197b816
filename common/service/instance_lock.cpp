#include "common/service/runtime.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <stdexcept>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::service {

namespace {

std::string lock_path(const std::string& run_directory, const std::string& instance) {
  return fmt::format("{}/{}.lock", run_directory, instance);
}

long read_pid(int fd) {
  char text[32] = {};
  return ::pread(fd, text, sizeof text - 1, 0) > 0 ? std::strtol(text, nullptr, 10) : 0;
}

// A freshly killed process may hold its lock until the kernel has torn it down; that takes milliseconds.
bool lock_with_patience(int fd) {
  for (int attempt = 0; attempt < 50; ++attempt) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0)
      return true;
    ::usleep(2000);
  }
  return false;
}

} // namespace

instance_lock::instance_lock(const std::string& run_directory, const std::string& instance) {
  std::error_code ec;
  if (std::filesystem::create_directories(run_directory, ec))
    ::chmod(run_directory.c_str(), 0700);  // what was there before keeps the mode its owner gave it
  const auto path = lock_path(run_directory, instance);
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0)
    throw std::runtime_error(fmt::format("failed to open lock {}: {}", path, std::strerror(errno)));
  if (!lock_with_patience(fd_)) {
    const auto pid = read_pid(fd_);
    ::close(fd_);
    throw already_running(fmt::format("failed to start {}: already running as pid {} (lock {})", instance, pid, path));
  }
  const auto pid = fmt::format("{}\n", ::getpid());
  const auto bytes = static_cast<ssize_t>(pid.size());  // over what is there: on a full disk its block is not given away
  if (::pwrite(fd_, pid.data(), pid.size(), 0) != bytes || ::ftruncate(fd_, bytes) != 0)
    throw std::runtime_error(fmt::format("failed to write lock {}: {}", path, std::strerror(errno)));
}

instance_lock::~instance_lock() { ::close(fd_); }

long lock_holder(const std::string& run_directory, const std::string& instance) {
  const int fd = ::open(lock_path(run_directory, instance).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  long pid = 0;
  if (::flock(fd, LOCK_SH | LOCK_NB) != 0)
    pid = read_pid(fd);
  ::close(fd);
  return pid;
}

} // namespace holdfast::service
