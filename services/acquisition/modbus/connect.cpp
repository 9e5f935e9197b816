#include "services/acquisition/modbus/connect.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace holdfast::acquisition::modbus {

using namespace std::chrono_literals;

namespace {

using clock = std::chrono::steady_clock;
constexpr auto slice = 50ms;
constexpr int keepalive_idle_s = 10;
constexpr int keepalive_interval_s = 5;
constexpr int keepalive_count = 3;
constexpr unsigned user_timeout_ms = 10000;

struct addresses {
  std::shared_ptr<addrinfo> list;
  int error = 0;
};

addresses look_up(const std::string& host, const std::string& port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  addresses out;
  out.error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (out.error == 0)
    out.list.reset(found, freeaddrinfo);
  return out;
}

/// A resolver without its server blocks for many seconds and cannot be interrupted, so a name is looked up in a thread
/// that may be left behind.
addresses resolve(const config::endpoint& to, clock::time_point until, const std::function<bool()>& wait) {
  const auto port = std::to_string(to.port);
  if (auto numeric = look_up(to.host, port, AI_NUMERICHOST); numeric.error == 0)
    return numeric;
  auto promise = std::make_shared<std::promise<addresses>>();
  auto result = promise->get_future();
  std::thread([promise, host = to.host, port] { promise->set_value(look_up(host, port, 0)); }).detach();
  while (result.wait_for(slice) != std::future_status::ready)
    if (!wait() || clock::now() >= until)
      return {nullptr, EAI_AGAIN};
  return result.get();
}

/// 0 once connected, else errno.
int finish(int fd, clock::time_point until, const std::function<bool()>& wait) {
  for (;;) {
    pollfd p{fd, POLLOUT, 0};
    if (poll(&p, 1, static_cast<int>(slice.count())) > 0)
      break;
    if (!wait())
      return ECANCELED;
    if (clock::now() >= until)
      return ETIMEDOUT;
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

template <class T> void set(int fd, int level, int option, T value) {
  setsockopt(fd, level, option, &value, sizeof value);
}

void tune(int fd) {
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_s);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_s);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, keepalive_count);
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout_ms);
}

} // namespace

connection connect_tcp(const config::endpoint& to, std::chrono::milliseconds limit,
                       const std::function<bool()>& wait) {
  const auto until = clock::now() + limit;
  const auto found = resolve(to, until, wait);
  if (found.error != 0)
    return {-1, fmt::format("failed to resolve {}: {}", to.host, gai_strerror(found.error))};
  int error = EADDRNOTAVAIL;
  for (auto* a = found.list.get(); a && error != ECANCELED; a = a->ai_next) {
    const int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0) {
      error = errno;
      continue;
    }
    tune(fd);
    error = ::connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS)
      error = finish(fd, until, wait);
    if (error == 0)
      return {fd, {}};
    ::close(fd);
  }
  return {-1, fmt::format("failed to connect {}:{}: {}", to.host, to.port, std::strerror(error))};
}

} // namespace holdfast::acquisition::modbus
