#include "common/net/kernel_watch.hpp"

#include "common/telemetry/log.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <utility>

namespace holdfast::net {

namespace {

constexpr std::uint32_t groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE
                                 | RTMGRP_IPV6_ROUTE;

class netlink_watch final : public kernel_watch {
public:
  netlink_watch(boost::asio::io_context& io, const std::string& interface, handler on_change)
      : io_(io), socket_(io), view_(interface), on_change_(std::move(on_change)) {}

  void start() {
    boost::asio::post(io_, [self = me()] {
      if (!self->open())
        return log::warn("failed to open netlink socket: {}; carrier and routes are not watched", std::strerror(errno));
      self->ask();
      self->wait();
    });
  }

  void toward(const std::string& to, const std::string& from) override {
    boost::asio::post(io_, [self = me(), to, from] {
      boost::system::error_code bad;
      const auto there = boost::asio::ip::make_address(to, bad);
      if (bad)
        return;
      const auto here = boost::asio::ip::make_address(from, bad);
      self->view_.toward(there, bad ? std::nullopt : std::optional(here));
      self->ask();
    });
  }

  void stop() override {
    boost::asio::post(io_, [self = me()] {
      self->on_change_ = {};
      boost::system::error_code ignored;
      self->socket_.close(ignored);
    });
  }

private:
  std::shared_ptr<netlink_watch> me() { return std::static_pointer_cast<netlink_watch>(shared_from_this()); }

  bool open() {
    const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
      return false;
    socket_.assign(fd);
    sockaddr_nl own{};
    own.nl_family = AF_NETLINK;
    own.nl_groups = groups;
    socklen_t size = sizeof own;
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&own), size) != 0
        || ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0)
      return false;
    port_ = own.nl_pid;
    return true;
  }

  void ask() {
    if (!socket_.is_open())
      return;
    for (auto& q : view_.questions())
      ::send(socket_.native_handle(), q.data(), q.size(), MSG_DONTWAIT);  // lost: the next event asks again
  }

  void wait() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [self = me()](boost::system::error_code ec) {
                         if (ec || !self->on_change_)
                           return;
                         self->read();
                         self->wait();
                       });
  }

  // All that waits, then one round of questions: a flood of route changes asks once.
  void read() {
    for (int n = 0; n < most_at_once; ++n) {
      const auto size = ::recv(socket_.native_handle(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (size < 0 && errno == ENOBUFS)
        view_.missed();
      else if (size <= 0)
        break;
      else
        view_.take(parse_netlink({buffer_.data(), static_cast<std::size_t>(size)}), port_);
    }
    ask();
    if (std::pair is{view_.now().carrier, view_.now().route}; std::exchange(told_, is) != is)
      on_change_(view_.now());
  }

  static constexpr int most_at_once = 256;  // datagrams, then others have their turn in the loop

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor socket_;
  kernel_view view_;
  handler on_change_;
  std::uint32_t port_ = 0;
  std::pair<bool, bool> told_{true, true};
  std::array<char, 32768> buffer_{};
};

} // namespace

std::shared_ptr<kernel_watch> kernel_watch::make(boost::asio::io_context& io, const std::string& interface,
                                                 handler on_change) {
  auto w = std::make_shared<netlink_watch>(io, interface, std::move(on_change));
  w->start();
  return w;
}

} // namespace holdfast::net
