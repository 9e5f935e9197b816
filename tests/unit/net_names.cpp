#include "common/net/name_lookup.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

using namespace holdfast::net;
using namespace std::chrono_literals;
using boost::asio::ip::make_address;
using boost::asio::ip::tcp;
using boost::asio::ip::udp;
using boost::system::error_code;

namespace {

using names = std::vector<std::string>;

/// A name server at a loopback address; every name has the same records.
struct name_server {
  explicit name_server(boost::asio::io_context& io) : socket(io), listener(io), peer(io) {
    while (!bound()) {
    }
    receive();
    accept();
  }

  std::map<int, std::string> records;  // by type: 1 A, 28 AAAA; the bytes of the address
  bool silent = false, truncated = false;
  int rcode = 0, queries = 0, connections = 0;

  std::uint16_t port() { return socket.local_endpoint().port(); }
  std::string address() { return "127.0.0.1:" + std::to_string(port()); }

  /// To one number for both; false when somebody else has it for UDP.
  bool bound() {
    listener = tcp::acceptor(socket.get_executor(), {make_address("127.0.0.1"), 0});
    socket = udp::socket(socket.get_executor(), udp::v4());
    error_code failed;
    socket.bind({make_address("127.0.0.1"), listener.local_endpoint().port()}, failed);
    return !failed;
  }

  void receive() {
    socket.async_receive_from(boost::asio::buffer(question), from, [this](error_code ec, std::size_t n) {
      if (ec)
        return;
      ++queries;
      if (!silent)
        socket.send_to(boost::asio::buffer(reply({question.data(), n}, truncated)), from);
      receive();
    });
  }

  void accept() {
    listener.async_accept(peer, [this](error_code ec) {
      if (ec)
        return;
      ++connections;
      one_of_stream();
    });
  }

  void one_of_stream() {
    boost::asio::async_read(peer, boost::asio::buffer(length), [this](error_code ec, std::size_t) {
      if (ec)
        return;
      std::string asked((length[0] << 8) + length[1], '\0');
      boost::asio::read(peer, boost::asio::buffer(asked));
      const auto r = reply(asked, false);
      boost::asio::write(peer, boost::asio::buffer(std::string{char(r.size() >> 8), char(r.size() & 0xff)} + r));
      one_of_stream();
    });
  }

  std::string reply(const std::string& asked, bool cut) const {
    const auto end = asked.find('\0', 12) + 5;  // of the question
    const auto found = records.find(asked[end - 3]);
    const bool has = !cut && rcode == 0 && found != records.end();
    std::string r = asked.substr(0, end);
    r[2] = static_cast<char>(cut ? 0x83 : 0x81);
    r[3] = static_cast<char>(0x80 | rcode);
    r.replace(4, 8, std::string("\0\1\0\0\0\0\0\0", 8));
    r[7] = has ? 1 : 0;
    if (has)
      r += std::string("\xc0\x0c\0", 3) + char(found->first) + std::string("\0\1\0\0\0\x3c\0", 7)
           + char(found->second.size()) + found->second;
    return r;
  }

  udp::socket socket;
  tcp::acceptor listener;
  tcp::socket peer;
  udp::endpoint from;
  std::array<char, 512> question{};
  std::array<unsigned char, 2> length{};
};

struct asking {
  boost::asio::io_context io;
  name_server server{io};
  std::optional<name_lookup::answer> got;

  name_lookup::answer ask(const std::string& host, name_lookup::settings s = {}) {
    if (s.name_servers.empty())
      s.name_servers = {server.address()};
    name_lookup lookup(io, s);
    got.reset();
    lookup.start(host, [this](const name_lookup::answer& a) { got = a; });
    CHECK_FALSE(got);
    for (int i = 0; i < 1000 && !got; ++i)
      io.run_one_for(10s);
    return got.value_or(name_lookup::answer{});
  }
};

const std::string v4{"\x7f\0\0\x09", 4};
const std::string v6{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16};

} // namespace

TEST_CASE("a name's addresses of both families come from the name server", "[net]") {
  asking a;
  a.server.records = {{1, v4}, {28, v6}};
  auto found = a.ask("centre.example").addresses;
  std::sort(found.begin(), found.end());
  CHECK(found == names{"127.0.0.9", "::1"});
  CHECK(a.server.queries == 2);
  CHECK(a.ask("centre.example", {.source_address = "127.0.0.1"}).addresses == names{"127.0.0.9"});
  CHECK(a.server.queries == 3);
  a.server.records.erase(1);
  CHECK(a.ask("centre.example").addresses == names{"::1"});
}

TEST_CASE("an answer too long for a datagram is fetched by TCP", "[net]") {
  asking a;
  a.server.records = {{1, v4}};
  a.server.truncated = true;
  CHECK(a.ask("centre.example").addresses == names{"127.0.0.9"});
  CHECK(a.server.connections == 1);
}

TEST_CASE("what the hosts file has needs no name server", "[net]") {
  asking a;
  const auto local = a.ask("localhost").addresses;
  CHECK(std::find(local.begin(), local.end(), "127.0.0.1") != local.end());
  CHECK(a.server.queries == 0);
}

TEST_CASE("a failed look-up says why", "[net]") {
  asking a;
  CHECK(a.ask("centre.example").error == "DNS server returned answer with no data");
  a.server.rcode = 3;
  CHECK(a.ask("centre.example").error == "Domain name not found");
  CHECK(a.ask("centre.example", {.interface = "no-such-0", .name_servers = {"192.0.2.1"}}).error
        == "failed to bind to interface no-such-0: No such device");
  CHECK(a.ask("centre.example", {.source_address = "203.0.113.9", .name_servers = {"192.0.2.1"}}).error
        == "failed to bind to source address 203.0.113.9: Cannot assign requested address");
  const auto dead = a.server.address();
  a.server.socket.close();
  CHECK(a.ask("centre.example", {.source_address = "127.0.0.1", .name_servers = {dead}}).error
        == "Could not contact DNS servers");
}

TEST_CASE("a name server on this host is asked without the interface", "[net]") {
  asking a;
  a.server.records = {{1, v4}};
  CHECK(a.ask("centre.example", {.interface = "no-such-0"}).addresses == names{"127.0.0.9"});
}

TEST_CASE("a look-up without answer ends at once when it is cancelled", "[net]") {
  asking a;
  a.server.silent = true;
  {
    name_lookup lookup(a.io, {.name_servers = {a.server.address()}});
    lookup.start("centre.example", [&](const name_lookup::answer&) { a.got.emplace(); });
    while (a.server.queries < 2)
      a.io.run_one_for(10s);
    lookup.cancel();
  }
  a.server.socket.close();
  a.server.listener.close();
  a.io.run_for(10s);
  CHECK(a.io.stopped());  // nothing is left to be waited for
  CHECK_FALSE(a.got);
}
