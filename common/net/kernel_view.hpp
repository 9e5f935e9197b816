#pragma once

#include "common/net/netlink.hpp"

#include <boost/asio/ip/address.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::net {

/// What the kernel's events mean for one way: whether its interface has carrier, and whether a route leads to the other
/// end. The interface is the configured one, or the one that the route uses. Whatever changes, the kernel is asked anew
/// instead of keeping its tables here. Pure: messages in, questions out.
class kernel_view {
public:
  struct verdict {
    bool carrier = true;
    bool route = true;
    std::string detail{};  ///< for people
  };

  /// `interface` empty: what the route says.
  explicit kernel_view(std::string interface) : interface_(std::move(interface)), ask_link_(!interface_.empty()) {}

  /// Where the way leads, and from which own address (none: any); one that vanished counts as no route.
  void toward(const boost::asio::ip::address& to, const std::optional<boost::asio::ip::address>& from);
  /// `own_port`: of the socket that asked.
  void take(const std::vector<netlink_event>& events, std::uint32_t own_port);
  /// The kernel had more to say than fitted in: asks for all that matters.
  void missed();
  /// To be sent now, each a message.
  std::vector<std::string> questions();

  const verdict& now() const noexcept { return now_; }

private:
  void take_link(const netlink_event& e);
  void take_answer(const netlink_event& e);
  void take_refusal(const netlink_event& e);
  void set_carrier(bool present, const std::string& name);

  std::string interface_;
  unsigned index_ = 0;  // 0: not known
  std::optional<boost::asio::ip::address> to_;
  std::optional<boost::asio::ip::address> from_;
  bool ask_link_;
  bool ask_route_ = false;
  std::uint32_t sequence_ = 0;
  std::uint32_t link_asked_ = 0;   // sequence of the last question
  std::uint32_t route_asked_ = 0;
  verdict now_;
};

} // namespace holdfast::net
