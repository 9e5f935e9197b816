#include "common/net/kernel_view.hpp"
#include "common/net/netlink.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <cstring>
#include <linux/rtnetlink.h>
#include <net/if.h>

using namespace holdfast::net;
using boost::asio::ip::make_address;
using kind = netlink_event::kind;

namespace {

constexpr std::uint32_t own = 4711;      // our port
constexpr unsigned carrier = 1 << 16;    // IFF_LOWER_UP

template <class T> std::string bytes(const T& t) { return {reinterpret_cast<const char*>(&t), sizeof t}; }

std::string padded(std::string s) {
  s.resize((s.size() + 3) / 4 * 4);
  return s;
}

std::string message(unsigned short type, const std::string& body, std::uint32_t port = 0, std::uint32_t sequence = 0) {
  return padded(bytes(nlmsghdr{static_cast<std::uint32_t>(sizeof(nlmsghdr) + body.size()), type, 0, sequence, port})
                + body);
}

std::string attribute(unsigned short type, const std::string& content) {
  return padded(bytes(rtattr{static_cast<unsigned short>(sizeof(rtattr) + content.size()), type}) + content);
}

std::string link_message(unsigned short type, int index, const std::string& name, unsigned flags) {
  ifinfomsg body{};
  body.ifi_index = index;
  body.ifi_flags = flags;
  return message(type, bytes(body) + attribute(IFLA_MTU, bytes(1500)) + attribute(IFLA_IFNAME, name + '\0'));
}

std::string route_message(unsigned short type, std::uint32_t out, std::uint32_t port = 0, std::uint32_t sequence = 0) {
  const auto attributes = attribute(RTA_DST, "\1\2\3\4") + attribute(RTA_OIF, bytes(out));
  return message(type, bytes(rtmsg{}) + attributes, port, sequence);
}

std::string refusal(int error, std::uint32_t sequence) {
  nlmsgerr body{};
  body.error = -error;
  return message(NLMSG_ERROR, bytes(body), own, sequence);
}

std::uint32_t sequence_of(const std::string& question) {
  nlmsghdr head;
  std::memcpy(&head, question.data(), sizeof head);
  REQUIRE(head.nlmsg_len == question.size());
  return head.nlmsg_seq;
}

unsigned short type_of(const std::string& question) {
  nlmsghdr head;
  std::memcpy(&head, question.data(), sizeof head);
  return head.nlmsg_type;
}

/// A view whose questions are answered by hand.
struct bench {
  kernel_view v;
  std::vector<std::string> asked;

  explicit bench(const std::string& interface) : v(interface) { ask(); }
  void ask() { asked = v.questions(); }
  void toward(const char* to) {
    v.toward(make_address(to), std::nullopt);
    ask();
  }
  void say(const std::string& datagram) {
    v.take(parse_netlink(datagram), own);
    ask();
  }
  /// The last question, of which there is one.
  std::uint32_t only(unsigned short type) {
    REQUIRE(asked.size() == 1);
    CHECK(type_of(asked[0]) == type);
    return sequence_of(asked[0]);
  }
};

} // namespace

// -- messages ---------------------------------------------------------------------------------------------------------

TEST_CASE("one datagram of the kernel has several messages", "[net]") {
  const auto all = link_message(RTM_NEWLINK, 7, "wwan0", IFF_UP | carrier)
                   + link_message(RTM_NEWLINK, 7, "wwan0", IFF_UP) + link_message(RTM_NEWLINK, 7, "wwan0", carrier)
                   + link_message(RTM_DELLINK, 7, "wwan0", IFF_UP | carrier)
                   + message(RTM_NEWADDR, bytes(ifaddrmsg{})) + message(RTM_DELADDR, bytes(ifaddrmsg{}))
                   + message(RTM_NEWNEIGH, "neighbours do not matter") + route_message(RTM_NEWROUTE, 7, own, 12)
                   + route_message(RTM_DELROUTE, 9) + refusal(ENETUNREACH, 13) + message(NLMSG_DONE, bytes(0));
  const auto events = parse_netlink(all);
  REQUIRE(events.size() == 9);
  CHECK(events[0].what == kind::link);
  CHECK(events[0].interface == 7);
  CHECK(events[0].name == "wwan0");
  CHECK(events[0].carrier);
  CHECK_FALSE(events[1].carrier);
  CHECK_FALSE(events[2].carrier);
  CHECK(events[3].what == kind::link_gone);
  CHECK_FALSE(events[3].carrier);
  CHECK(events[4].what == kind::address);
  CHECK(events[5].what == kind::address);
  CHECK(events[6].what == kind::route);
  CHECK(events[6].interface == 7);
  CHECK(events[6].port == own);
  CHECK(events[6].sequence == 12);
  CHECK(events[7].interface == 9);
  CHECK(events[8].what == kind::refusal);
  CHECK(events[8].error == ENETUNREACH);
}

TEST_CASE("damaged messages of the kernel are left out", "[net]") {
  const auto whole = link_message(RTM_NEWLINK, 7, "wwan0", IFF_UP | carrier);
  for (std::size_t n = 0; n < whole.size(); ++n)
    CHECK(parse_netlink(whole.substr(0, n)).empty());
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (int wrong : {0, 1, 127, 255}) {
      auto damaged = whole;
      damaged[at] = static_cast<char>(wrong);
      CHECK(parse_netlink(damaged).size() <= 1);
    }
  auto long_attribute = whole;
  long_attribute[sizeof(nlmsghdr) + sizeof(ifinfomsg)] = 127;  // the first attribute's length: beyond the end
  const auto events = parse_netlink(long_attribute);
  REQUIRE(events.size() == 1);
  CHECK(events[0].name.empty());
  CHECK(parse_netlink(message(RTM_NEWLINK, "short")).empty());
  CHECK(parse_netlink(message(NLMSG_ERROR, bytes(0))).empty());  // an acknowledgement, and too short
}

TEST_CASE("a question about a route names both ends and the interface", "[net]") {
  const auto q = route_question(make_address("10.1.2.3"), make_address("10.0.0.9"), 5, 77);
  CHECK(type_of(q) == RTM_GETROUTE);
  CHECK(sequence_of(q) == 77);
  rtmsg body;
  std::memcpy(&body, q.data() + sizeof(nlmsghdr), sizeof body);
  CHECK(body.rtm_family == AF_INET);
  CHECK(body.rtm_dst_len == 32);
  CHECK(body.rtm_src_len == 32);
  CHECK(q.substr(sizeof(nlmsghdr) + sizeof body)
        == attribute(RTA_DST, std::string("\x0a\1\2\3")) + attribute(RTA_SRC, std::string("\x0a\0\0\x09", 4))
             + attribute(RTA_OIF, bytes(std::uint32_t{5})));
  CHECK(route_question(make_address("::1"), std::nullopt, 0, 1).size()
        == sizeof(nlmsghdr) + sizeof(rtmsg) + sizeof(rtattr) + 16);
}

// -- what they mean ---------------------------------------------------------------------------------------------------

TEST_CASE("the configured interface's carrier is told, other interfaces' is not", "[net]") {
  bench b("eth1");
  b.only(RTM_GETLINK);
  b.say(link_message(RTM_NEWLINK, 3, "eth1", IFF_UP | carrier) + link_message(RTM_NEWLINK, 2, "eth0", IFF_UP));
  CHECK(b.v.now().carrier);
  b.say(link_message(RTM_NEWLINK, 3, "eth1", IFF_UP));
  CHECK_FALSE(b.v.now().carrier);
  CHECK(b.v.now().detail == "eth1 has no carrier");
  b.say(link_message(RTM_NEWLINK, 3, "eth1", IFF_UP | carrier));
  CHECK(b.v.now().carrier);
  b.say(link_message(RTM_DELLINK, 3, "eth1", IFF_UP | carrier));
  CHECK_FALSE(b.v.now().carrier);
  b.say(link_message(RTM_NEWLINK, 9, "eth1", IFF_UP | carrier));
  CHECK(b.v.now().carrier);
}

TEST_CASE("an interface that is not there has no carrier, and its routes are asked for when it comes", "[net]") {
  bench b("ppp0");
  b.say(refusal(ENODEV, b.only(RTM_GETLINK)));
  CHECK_FALSE(b.v.now().carrier);
  b.toward("10.1.2.3");
  CHECK(b.asked.empty());
  b.say(link_message(RTM_NEWLINK, 4, "ppp0", IFF_UP | carrier));
  CHECK(b.v.now().carrier);
  b.only(RTM_GETROUTE);
}

TEST_CASE("without a configured interface the route's one is watched", "[net]") {
  bench b("");
  CHECK(b.asked.empty());
  b.toward("10.1.2.3");
  b.say(route_message(RTM_NEWROUTE, 2, own, b.only(RTM_GETROUTE)));
  b.only(RTM_GETLINK);
  b.say(link_message(RTM_NEWLINK, 2, "eth0", IFF_UP));
  CHECK_FALSE(b.v.now().carrier);
  b.say(route_message(RTM_NEWROUTE, 3, own, b.only(RTM_GETROUTE)));  // the kernel found another way
  b.only(RTM_GETLINK);
  b.say(link_message(RTM_NEWLINK, 3, "eth1", IFF_UP | carrier));
  CHECK(b.v.now().carrier);
}

TEST_CASE("whatever changes, the route is asked for again; only the newest answer counts", "[net]") {
  bench b("");
  b.toward("10.1.2.3");
  const auto first = b.only(RTM_GETROUTE);
  b.say(route_message(RTM_DELROUTE, 2) + route_message(RTM_NEWROUTE, 2) + message(RTM_NEWADDR, bytes(ifaddrmsg{})));
  const auto second = b.only(RTM_GETROUTE);
  b.say(refusal(ENETUNREACH, first));
  CHECK(b.v.now().route);
  CHECK(b.asked.empty());
  b.say(refusal(ENETUNREACH, second));
  CHECK_FALSE(b.v.now().route);
  CHECK(b.v.now().detail == "no route to 10.1.2.3: Network is unreachable");
  b.say(route_message(RTM_NEWROUTE, 2));
  b.say(route_message(RTM_NEWROUTE, 2, own, b.only(RTM_GETROUTE)));
  CHECK(b.v.now().route);
}

TEST_CASE("an own address that vanished is no route; an error that says less is none", "[net]") {
  bench b("");
  b.toward("10.1.2.3");
  b.say(refusal(EINVAL, b.only(RTM_GETROUTE)));
  CHECK(b.v.now().route);
  b.v.toward(make_address("10.1.2.3"), make_address("10.0.0.9"));
  b.ask();
  b.say(refusal(EINVAL, b.only(RTM_GETROUTE)));
  CHECK_FALSE(b.v.now().route);
  CHECK(b.v.now().detail == "no route to 10.1.2.3 from 10.0.0.9: Invalid argument");
}

TEST_CASE("after events that were lost, all is asked for again", "[net]") {
  bench b("eth1");
  b.say(link_message(RTM_NEWLINK, 3, "eth1", IFF_UP | carrier));
  b.toward("10.1.2.3");
  b.v.missed();
  b.ask();
  REQUIRE(b.asked.size() == 2);
  CHECK(type_of(b.asked[0]) == RTM_GETLINK);
  CHECK(type_of(b.asked[1]) == RTM_GETROUTE);
}
