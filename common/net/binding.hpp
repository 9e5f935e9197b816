#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <string>

namespace holdfast::net {

/// Opens a socket for this endpoint and binds it, before it is connected: to a network interface (SO_BINDTODEVICE) and
/// to an own address; empty: as the routes say. Throws std::runtime_error "failed to bind to WHAT: cause".
void open_bound(boost::asio::ip::tcp::socket& socket, const boost::asio::ip::tcp::endpoint& to,
                const std::string& interface, const std::string& source_address);

/// The same for a socket of any kind that is open, before it is connected to this address.
void bind_own(int socket, const boost::asio::ip::address& to, const std::string& interface,
              const std::string& source_address);

/// The kernel sends no faster than this many bytes per second (SO_MAX_PACING_RATE); 0: as fast as it can.
void pace(boost::asio::ip::tcp::socket& socket, std::uint64_t bytes_per_second);

} // namespace holdfast::net
