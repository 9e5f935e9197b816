#include "common/net/binding.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <sys/socket.h>

namespace holdfast::net {

using boost::asio::ip::tcp;

namespace {

void check(const boost::system::error_code& ec, const std::string& what) {
  if (ec)
    throw std::runtime_error(fmt::format("failed to {}: {}", what, ec.message()));
}

} // namespace

void open_bound(tcp::socket& socket, const tcp::endpoint& to, const std::string& interface,
                const std::string& source_address) {
  boost::system::error_code ec;
  socket.open(to.protocol(), ec);
  check(ec, "open a socket");
  bind_own(socket.native_handle(), to.address(), interface, source_address);
}

void bind_own(int socket, const boost::asio::ip::address& to, const std::string& interface,
              const std::string& source_address) {
  if (!interface.empty()
      && ::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                      static_cast<socklen_t>(interface.size())) != 0) {
    const int cause = errno;
    throw std::runtime_error(fmt::format("failed to bind to interface {}: {}{}", interface, std::strerror(cause),
                                         cause == EPERM ? "; it needs CAP_NET_RAW" : ""));
  }
  if (source_address.empty())
    return;
  const auto what = "bind to source address " + source_address;
  boost::system::error_code ec;
  const auto from = boost::asio::ip::make_address(source_address, ec);
  check(ec, what);
  if (from.is_v4() != to.is_v4())
    throw std::runtime_error(fmt::format("failed to {}: {} is of the other family", what, to.to_string()));
  // Else the port is chosen now, where it must be free for every peer.
  const int late = 1;
  ::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof late);
  const tcp::endpoint own(from, 0);
  if (::bind(socket, own.data(), static_cast<socklen_t>(own.size())) != 0)
    check({errno, boost::system::system_category()}, what);
}

void pace(tcp::socket& socket, std::uint64_t bytes_per_second) {
  if (bytes_per_second > 0)
    ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_MAX_PACING_RATE, &bytes_per_second, sizeof bytes_per_second);
}

} // namespace holdfast::net
