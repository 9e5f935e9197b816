#include "services/ctl/simulate_socket.hpp"

#include <cerrno>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>

namespace holdfast::ctl {

descriptor open_socket(const config::endpoint& at, bool listening) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (listening ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  if (getaddrinfo(at.host.c_str(), std::to_string(at.port).c_str(), &hints, &found) != 0) {
    errno = EHOSTUNREACH;
    return descriptor();
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  descriptor s(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  const unsigned give_up_ms = 5000; // also for a connection that nobody answers
  if (listening) {
    ::setsockopt(s.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  } else {
    ::setsockopt(s.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(s.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &give_up_ms, sizeof give_up_ms);
  }
  const bool ok = listening ? ::bind(s.get(), found->ai_addr, found->ai_addrlen) == 0 && ::listen(s.get(), 64) == 0
                            : ::connect(s.get(), found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS;
  return ok ? std::move(s) : descriptor();
}

} // namespace holdfast::ctl
