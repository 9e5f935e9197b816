#include "common/net/name_lookup.hpp"

#include "common/net/binding.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <ares.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <list>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace holdfast::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

// A name server is given this long, twice and four times as long in the second and third round over all of them.
constexpr int first_wait_ms = 1000;
constexpr int rounds = 3;

asio::ip::address address_of(const sockaddr& a, std::size_t size) {
  tcp::endpoint e;
  e.resize(size);
  std::memcpy(e.data(), &a, size);
  return e.address();
}

} // namespace

struct name_lookup::impl : std::enable_shared_from_this<impl> {
  impl(asio::io_context& context, settings s) : io(context), given(std::move(s)), timer(context) {}

  asio::io_context& io;
  settings given;
  asio::steady_timer timer;
  ares_channel channel = nullptr;
  std::list<asio::posix::stream_descriptor> watched;  // sockets of c-ares, while nothing of it runs
  done on_done;
  std::optional<answer> result;
  std::string binding;  // why a socket could not be bound

  void start(const std::string& host, done d) {
    on_done = std::move(d);
    if (const int error = open(); error != ARES_SUCCESS)
      return finish({{}, ares_strerror(error)});
    ares_addrinfo_hints hints{};
    hints.ai_socktype = SOCK_STREAM;
    error_code not_an_address;
    const auto own = asio::ip::make_address(given.source_address, not_an_address);
    hints.ai_family = not_an_address ? AF_UNSPEC : own.is_v4() ? AF_INET : AF_INET6;
    ares_getaddrinfo(channel, host.c_str(), nullptr, &hints, &answered, this);
    go_on();
  }

  int open() {
    static const int ready = ares_library_init(ARES_LIB_INIT_ALL);
    if (ready != ARES_SUCCESS)
      return ready;
    char sources[] = "fb";  // hosts file, then name servers
    ares_options o{};
    o.timeout = first_wait_ms;
    o.tries = rounds;
    o.lookups = sources;
    if (const int error = ares_init_options(&channel, &o, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS);
        error != ARES_SUCCESS) {
      channel = nullptr;
      return error;
    }
    ares_set_socket_functions(channel, &sockets, this);
    if (given.name_servers.empty())
      return ARES_SUCCESS;
    return ares_set_servers_ports_csv(channel, fmt::format("{}", fmt::join(given.name_servers, ",")).c_str());
  }

  void cancel() {
    on_done = nullptr;
    stop();
  }

  void stop() {
    timer.cancel();
    unwatch();
    if (channel)
      ares_destroy(std::exchange(channel, nullptr));
  }

  void finish(answer a) {
    stop();
    asio::post(io, [self = shared_from_this(), a = std::move(a)] {
      if (auto d = std::exchange(self->on_done, nullptr))
        d(a);
    });
  }

  // -- turns of c-ares: it may open and close sockets in each, so they are watched in between only

  void go_on() {
    if (result)
      return finish(std::move(*result));
    std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> open{};
    const auto wanted = static_cast<unsigned>(ares_getsock(channel, open.data(), ARES_GETSOCK_MAXNUM));
    for (unsigned i = 0; i < open.size(); ++i) {
      const bool to_read = wanted >> i & 1u, to_write = wanted >> (i + ARES_GETSOCK_MAXNUM) & 1u;
      if (!to_read && !to_write)
        continue;
      auto& socket = watched.emplace_back(io, open[i]);
      if (to_read)
        socket.async_wait(socket.wait_read, turn_of(open[i], ARES_SOCKET_BAD));
      if (to_write)
        socket.async_wait(socket.wait_write, turn_of(ARES_SOCKET_BAD, open[i]));
    }
    timeval left{};
    if (!ares_timeout(channel, nullptr, &left))
      return;
    timer.expires_after(std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec));
    timer.async_wait(turn_of(ARES_SOCKET_BAD, ARES_SOCKET_BAD));
  }

  std::function<void(error_code)> turn_of(ares_socket_t readable, ares_socket_t writable) {
    return [self = shared_from_this(), readable, writable](error_code ec) {
      if (ec || !self->channel)
        return;
      self->unwatch();
      ares_process_fd(self->channel, readable, writable);
      self->go_on();
    };
  }

  void unwatch() {
    for (auto& socket : watched)
      socket.release();
    watched.clear();
  }

  static void answered(void* me, int status, int, ares_addrinfo* found) {
    auto& self = *static_cast<impl*>(me);
    answer a;
    for (auto* node = found ? found->nodes : nullptr; node; node = node->ai_next)
      a.addresses.push_back(address_of(*node->ai_addr, node->ai_addrlen).to_string());
    if (a.addresses.empty())
      a.error = status == ARES_ECONNREFUSED && !self.binding.empty() ? self.binding : ares_strerror(status);
    ares_freeaddrinfo(found);
    self.result = std::move(a);
  }

  // -- its sockets: ares_set_local_dev() would go on without the interface where binding fails

  int connect(ares_socket_t socket, const sockaddr& to, ares_socklen_t size) {
    const auto there = address_of(to, size);
    try {
      if (!there.is_loopback())
        bind_own(socket, there, given.interface, given.source_address);
    } catch (const std::exception& e) {
      binding = e.what();
      errno = EADDRNOTAVAIL;
      return -1;
    }
    return ::connect(socket, &to, size);
  }

  static const ares_socket_functions sockets;
};

const ares_socket_functions name_lookup::impl::sockets{
  .asocket = [](int domain, int type, int protocol, void*) {
    return ::socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  },
  .aclose = [](ares_socket_t socket, void*) { return ::close(socket); },
  .aconnect = [](ares_socket_t socket, const sockaddr* to, ares_socklen_t size, void* me) {
    return static_cast<impl*>(me)->connect(socket, *to, size);
  },
  .arecvfrom = [](ares_socket_t socket, void* into, std::size_t size, int flags, sockaddr* from,
                  ares_socklen_t* from_size, void*) {
    return ::recvfrom(socket, into, size, flags, from, from_size);
  },
  .asendv = [](ares_socket_t socket, const iovec* from, int count, void*) {
    msghdr m{};
    m.msg_iov = const_cast<iovec*>(from);
    m.msg_iovlen = static_cast<std::size_t>(count);
    return ::sendmsg(socket, &m, MSG_NOSIGNAL);
  },
};

name_lookup::name_lookup(asio::io_context& io, settings s) : impl_(std::make_shared<impl>(io, std::move(s))) {}

name_lookup::~name_lookup() { cancel(); }

void name_lookup::start(const std::string& host, done d) { impl_->start(host, std::move(d)); }

void name_lookup::cancel() { impl_->cancel(); }

} // namespace holdfast::net
