#pragma once

// Modbus peers in this process that answer as they are told: a pty for a serial line, and the loopback.

#include "common/config/config.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <termios.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace holdfast::acquisition::modbus {

using bytes = std::vector<std::uint8_t>;
/// From a request to what is sent back.
using behaviour = std::function<bytes(const bytes&)>;

inline bytes operator+(bytes a, const bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// MODBUS over Serial Line V1.02, 6.2.2, bit by bit.
inline bytes with_crc(bytes frame) {
  unsigned crc = 0xffff;
  for (auto b : frame) {
    crc ^= b;
    for (int i = 0; i != 8; ++i)
      crc = (crc & 1) != 0 ? crc >> 1 ^ 0xa001 : crc >> 1;
  }
  return std::move(frame) + bytes{static_cast<std::uint8_t>(crc & 0xff), static_cast<std::uint8_t>(crc >> 8)};
}

/// Answers each request on one descriptor; the first to the first request, the last to all that are left.
class peer {
public:
  explicit peer(std::vector<behaviour> give) : give_(std::move(give)) {}
  std::atomic<unsigned> requests{0};

  void serve(int fd, std::size_t request_bytes, const std::atomic<bool>& over) {
    bytes request;
    for (pollfd p{fd, POLLIN, 0}; !over;) {
      if (poll(&p, 1, 10) == 0)
        continue;
      std::array<std::uint8_t, 256> chunk;
      const auto n = ::read(fd, chunk.data(), chunk.size());
      if (n <= 0)
        return;
      request.insert(request.end(), chunk.begin(), chunk.begin() + n);
      if (request.size() < request_bytes)
        continue;
      const auto answer = give_[std::min<std::size_t>(requests++, give_.size() - 1)](std::exchange(request, {}));
      if (!answer.empty() && ::write(fd, answer.data(), answer.size()) < 0)
        return;
    }
  }

private:
  std::vector<behaviour> give_;
};

/// A serial line whose other end is a thread's.
class serial_peer : public peer {
public:
  explicit serial_peer(std::vector<behaviour> give) : peer(std::move(give)), fd_(posix_openpt(O_RDWR | O_NOCTTY)) {
    REQUIRE(grantpt(fd_) == 0);
    REQUIRE(unlockpt(fd_) == 0);
    name_ = ptsname(fd_);
    other_ = ::open(name_.c_str(), O_RDWR | O_NOCTTY); // stays open, so that the pty outlives the line
    termios raw{};
    tcgetattr(other_, &raw);
    cfmakeraw(&raw);
    tcsetattr(other_, TCSANOW, &raw);
    thread_ = std::thread([this] { serve(fd_, 8, over_); });
  }
  ~serial_peer() {
    over_ = true;
    thread_.join();
    ::close(fd_);
    ::close(other_);
  }
  config::serial_line transport() const {
    config::serial_line at;
    at.device = name_;
    at.baud = 115200;
    return at;
  }

private:
  int fd_;
  int other_ = -1;
  std::string name_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// One connection after another.
class tcp_peer : public peer {
public:
  explicit tcp_peer(std::vector<behaviour> give)
      : peer(std::move(give)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    at_.sin_family = AF_INET;
    at_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at_;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&at_), size) == 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at_), &size);
    ::listen(listener_, 4);
    thread_ = std::thread([this] {
      for (int fd = -1; (fd = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(fd)) {
        ++connections;
        serve(fd, 12, over_);
      }
    });
  }
  ~tcp_peer() {
    over_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  config::endpoint transport() const { return {"127.0.0.1", ntohs(at_.sin_port)}; }
  std::atomic<unsigned> connections{0};

private:
  int listener_;
  sockaddr_in at_{};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

} // namespace holdfast::acquisition::modbus
