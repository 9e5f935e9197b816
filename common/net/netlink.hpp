#pragma once

#include <boost/asio/ip/address.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::net {

/// What the kernel says about interfaces, addresses and routes (rtnetlink(7)).
struct netlink_event {
  enum class kind {
    link,       ///< an interface is there, with or without carrier
    link_gone,
    address,    ///< one came or went
    route,      ///< one came or went, or the answer to route_question()
    refusal,    ///< the answer is an error
  };
  kind what;
  std::uint32_t port = 0;      ///< of the asker, 0: nobody asked
  std::uint32_t sequence = 0;  ///< of the question
  unsigned interface = 0;      ///< index; of a route: where it leads out
  std::string name{};          ///< of the interface
  bool carrier = false;
  int error = 0;               ///< errno
};

/// All messages of one datagram; what is damaged or unknown is left out. Pure.
std::vector<netlink_event> parse_netlink(std::string_view datagram);

/// Questions to the kernel, whole messages. How is this interface (by name, or by index where the name is empty)?
std::string link_question(const std::string& name, unsigned index, std::uint32_t sequence);
/// Which way leads to `to`, from this address and out of this interface (0: any)?
std::string route_question(const boost::asio::ip::address& to, const std::optional<boost::asio::ip::address>& from,
                           unsigned interface, std::uint32_t sequence);

} // namespace holdfast::net
