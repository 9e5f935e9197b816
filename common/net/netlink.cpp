#include "common/net/netlink.hpp"

#include <algorithm>
#include <cstring>
#include <linux/rtnetlink.h>
#include <net/if.h>

namespace holdfast::net {

namespace {

using kind = netlink_event::kind;

template <class T> std::optional<T> read(std::string_view from) {
  T out{};
  if (from.size() < sizeof out)
    return std::nullopt;
  std::memcpy(&out, from.data(), sizeof out);
  return out;
}

template <class T> void append(std::string& to, const T& what) {
  to.append(reinterpret_cast<const char*>(&what), sizeof what);
}

std::size_t aligned(std::size_t n) { return (n + NLMSG_ALIGNTO - 1) / NLMSG_ALIGNTO * NLMSG_ALIGNTO; }

std::string_view behind(std::string_view all, std::size_t n) { return all.substr(std::min(n, all.size())); }

/// The content of the first attribute of this type.
std::optional<std::string_view> attribute(std::string_view from, unsigned short type) {
  while (auto head = read<rtattr>(from)) {
    if (head->rta_len < sizeof *head || head->rta_len > from.size())
      return std::nullopt;
    if (head->rta_type == type)
      return from.substr(sizeof *head, head->rta_len - sizeof *head);
    from = behind(from, aligned(head->rta_len));
  }
  return std::nullopt;
}

void append_attribute(std::string& to, unsigned short type, std::string_view content) {
  append(to, rtattr{static_cast<unsigned short>(sizeof(rtattr) + content.size()), type});
  to.append(content);
  to.resize(aligned(to.size()));
}

bool parse_link(netlink_event& e, std::string_view body) {
  const auto head = read<ifinfomsg>(body);
  if (!head)
    return false;
  e.interface = static_cast<unsigned>(head->ifi_index);
  constexpr unsigned lower_up = 1 << 16;  // IFF_LOWER_UP; <linux/if.h> and <net/if.h> exclude each other
  e.carrier = e.what == kind::link && (head->ifi_flags & IFF_UP) != 0 && (head->ifi_flags & lower_up) != 0;
  if (auto name = attribute(behind(body, aligned(sizeof *head)), IFLA_IFNAME))
    e.name = name->substr(0, name->find('\0'));
  return true;
}

bool parse_route(netlink_event& e, std::string_view body) {
  if (!read<rtmsg>(body))
    return false;
  if (auto out = attribute(behind(body, aligned(sizeof(rtmsg))), RTA_OIF))
    e.interface = read<std::uint32_t>(*out).value_or(0);
  return true;
}

std::optional<netlink_event> parse_one(const nlmsghdr& head, std::string_view body) {
  netlink_event e{kind::link, head.nlmsg_pid, head.nlmsg_seq};
  switch (head.nlmsg_type) {
    case RTM_DELLINK: e.what = kind::link_gone; [[fallthrough]];
    case RTM_NEWLINK: return parse_link(e, body) ? std::optional(e) : std::nullopt;
    case RTM_NEWADDR:
    case RTM_DELADDR: e.what = kind::address; return e;
    case RTM_NEWROUTE:
    case RTM_DELROUTE: e.what = kind::route; return parse_route(e, body) ? std::optional(e) : std::nullopt;
    case NLMSG_ERROR: {
      const auto error = read<nlmsgerr>(body);
      if (!error || error->error == 0)
        return std::nullopt;
      e.what = kind::refusal;
      e.error = -error->error;
      return e;
    }
    default: return std::nullopt;
  }
}

std::string finished(std::string message, unsigned short type, std::uint32_t sequence) {
  const nlmsghdr head{static_cast<std::uint32_t>(message.size()), type, NLM_F_REQUEST, sequence, 0};
  std::memcpy(message.data(), &head, sizeof head);
  return message;
}

std::string_view bytes_of(const boost::asio::ip::address_v4::bytes_type& b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}
std::string_view bytes_of(const boost::asio::ip::address_v6::bytes_type& b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}

void append_address(std::string& to, unsigned short type, const boost::asio::ip::address& a) {
  a.is_v4() ? append_attribute(to, type, bytes_of(a.to_v4().to_bytes()))
            : append_attribute(to, type, bytes_of(a.to_v6().to_bytes()));
}

} // namespace

std::vector<netlink_event> parse_netlink(std::string_view rest) {
  std::vector<netlink_event> out;
  while (auto head = read<nlmsghdr>(rest)) {
    if (head->nlmsg_len < sizeof *head || head->nlmsg_len > rest.size())
      break;
    if (auto e = parse_one(*head, rest.substr(sizeof *head, head->nlmsg_len - sizeof *head)))
      out.push_back(std::move(*e));
    rest = behind(rest, aligned(head->nlmsg_len));
  }
  return out;
}

std::string link_question(const std::string& name, unsigned index, std::uint32_t sequence) {
  std::string m(sizeof(nlmsghdr), '\0');
  ifinfomsg body{};
  body.ifi_index = name.empty() ? static_cast<int>(index) : 0;
  append(m, body);
  if (!name.empty())
    append_attribute(m, IFLA_IFNAME, std::string_view(name.c_str(), name.size() + 1));
  return finished(std::move(m), RTM_GETLINK, sequence);
}

std::string route_question(const boost::asio::ip::address& to, const std::optional<boost::asio::ip::address>& from,
                           unsigned interface, std::uint32_t sequence) {
  std::string m(sizeof(nlmsghdr), '\0');
  const unsigned char bits = to.is_v4() ? 32 : 128;
  rtmsg body{};
  body.rtm_family = to.is_v4() ? AF_INET : AF_INET6;
  body.rtm_dst_len = bits;
  body.rtm_src_len = from ? bits : 0;
  append(m, body);
  append_address(m, RTA_DST, to);
  if (from)
    append_address(m, RTA_SRC, *from);
  if (interface != 0) {
    const std::uint32_t index = interface;
    append_attribute(m, RTA_OIF, {reinterpret_cast<const char*>(&index), sizeof index});
  }
  return finished(std::move(m), RTM_GETROUTE, sequence);
}

} // namespace holdfast::net
