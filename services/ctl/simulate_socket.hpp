#pragma once

// Sockets of the simulated plant.

#include "common/config/config.hpp"

#include <unistd.h>
#include <utility>

namespace holdfast::ctl {

class descriptor {
public:
  explicit descriptor(int fd = -1) : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_;
};

/// A non-blocking socket that listens, or is connecting; none, with errno set, where that failed. Looks up names, which
/// may block: fine for a tool.
descriptor open_socket(const config::endpoint& at, bool listening);

/// How soon the threads of the plant see that they are to stop.
inline constexpr int slice_ms = 50;

} // namespace holdfast::ctl
