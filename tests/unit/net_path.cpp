#include "common/net/address_cache.hpp"
#include "common/net/binding.hpp"
#include "common/net/path.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>

#include <sys/socket.h>

using namespace holdfast::net;
using namespace std::chrono_literals;
using boost::asio::ip::make_address;
using boost::asio::ip::tcp;

using names = std::vector<std::string>;

TEST_CASE("the last addresses of a name are kept, the one that worked first", "[net]") {
  address_cache c;
  const address_cache::clock::time_point now{1h};
  CHECK(c.known().empty());
  c.resolved({"10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.3"}, now);
  CHECK(c.known() == names{"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  c.worked("10.0.0.2");
  CHECK(c.known() == names{"10.0.0.2", "10.0.0.1", "10.0.0.3"});
  c.resolved({"10.0.0.3", "10.0.0.2"}, now + 1min);
  CHECK(c.known() == names{"10.0.0.2", "10.0.0.3"});
  CHECK(c.age(now + 3min) == 2min);
  c.resolved({}, now + 3min);
  CHECK(c.known() == names{"10.0.0.2", "10.0.0.3"});
  c.worked("10.9.9.9");
  c.resolved({"10.0.0.3", "10.0.0.2"}, now);
  CHECK(c.known() == names{"10.0.0.3", "10.0.0.2"});
}

TEST_CASE("an address that failed is tried behind the others, the latest at the end", "[net]") {
  address_cache c;
  const names said{"10.0.0.1", "10.0.0.2", "10.0.0.3"};
  c.resolved(said, {});
  c.worked("10.0.0.2");
  c.failed("10.0.0.2");
  CHECK(c.known() == names{"10.0.0.1", "10.0.0.3", "10.0.0.2"});
  c.failed("10.0.0.1");
  CHECK(c.known() == names{"10.0.0.3", "10.0.0.2", "10.0.0.1"});
  c.resolved(said, {});
  CHECK(c.known() == names{"10.0.0.3", "10.0.0.2", "10.0.0.1"});
  c.failed("10.0.0.3");
  CHECK(c.known() == names{"10.0.0.2", "10.0.0.1", "10.0.0.3"});
  c.worked("10.0.0.1");
  CHECK(c.known() == names{"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  c.failed("10.9.9.9");
  CHECK(c.known() == names{"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  c.resolved({"10.0.0.4"}, {});  // what is no longer named is forgotten, its failures too
  c.resolved({"10.0.0.3", "10.0.0.4"}, {});
  CHECK(c.known() == names{"10.0.0.3", "10.0.0.4"});
}

TEST_CASE("each address has its share of what is left of an attempt", "[net]") {
  CHECK(address_cache::share(10s, 10s, 1) == 10s);
  CHECK(address_cache::share(10s, 10s, 2) == 5s);
  CHECK(address_cache::share(9s, 10s, 2) == 4500ms);  // the name took a second
  CHECK(address_cache::share(9s, 10s, 1) == 9s);      // the first one refused at once
  CHECK(address_cache::share(9s, 9s, 16) == 3s);
  CHECK(address_cache::share(1s, 9s, 13) == 1s);
  CHECK(address_cache::share(0s, 9s, 0) == 0s);
}

TEST_CASE("a name with very many addresses keeps some", "[net]") {
  names many;
  for (int i = 0; i < 200; ++i)
    many.push_back("10.0.0." + std::to_string(i));
  address_cache c;
  c.resolved(many, {});
  CHECK(c.known().size() == address_cache::most);
}

TEST_CASE("a socket is bound to interface and source address before it connects", "[net]") {
  boost::asio::io_context io;
  tcp::acceptor acceptor(io, {make_address("127.0.0.1"), 0});
  tcp::socket s(io);
  open_bound(s, acceptor.local_endpoint(), "lo", "127.0.0.7");
  s.connect(acceptor.local_endpoint());
  CHECK(s.local_endpoint().address().to_string() == "127.0.0.7");
  char name[16]{};
  socklen_t size = sizeof name;
  REQUIRE(::getsockopt(s.native_handle(), SOL_SOCKET, SO_BINDTODEVICE, name, &size) == 0);
  CHECK(std::string(name) == "lo");
}

TEST_CASE("a binding that fails says what and why", "[net]") {
  boost::asio::io_context io;
  const auto error = [&](const char* interface, const char* source) {
    tcp::socket s(io);
    try {
      open_bound(s, {make_address("127.0.0.1"), 9}, interface, source);
    } catch (const std::exception& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(error("", "").empty());
  CHECK(error("no-such-0", "") == "failed to bind to interface no-such-0: No such device");
  CHECK(error("", "192.0.2.1") == "failed to bind to source address 192.0.2.1: Cannot assign requested address");
  CHECK(error("", "nonsense") == "failed to bind to source address nonsense: Invalid argument");
  CHECK(error("", "::1") == "failed to bind to source address ::1: 127.0.0.1 is of the other family");
}

TEST_CASE("the kernel tells what a connection took on the wire, and paces it", "[net]") {
  boost::asio::io_context io;
  tcp::acceptor acceptor(io, {make_address("127.0.0.1"), 0});
  tcp::socket s(io);
  open_bound(s, acceptor.local_endpoint(), "", "");
  pace(s, 50'000'000);
  s.connect(acceptor.local_endpoint());
  auto peer = acceptor.accept();
  std::string content(100'000, 'x');
  boost::asio::write(s, boost::asio::buffer(content));
  boost::asio::read(peer, boost::asio::buffer(content));
  boost::asio::write(peer, boost::asio::buffer(content));
  boost::asio::read(s, boost::asio::buffer(content));
  const auto p = read_path(s.native_handle());
  CHECK(p.acknowledged >= 100'000);
  CHECK(p.data_segments > 0);
  CHECK(p.delivered > 0);
  CHECK(p.round_trip > 0us);
  CHECK(p.wire_bytes > 200'000 + 52 * p.data_segments);
  CHECK(p.wire_bytes < 240'000);
  std::uint64_t rate = 0;
  socklen_t size = sizeof rate;
  REQUIRE(::getsockopt(s.native_handle(), SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &size) == 0);
  CHECK(rate == 50'000'000);
  CHECK(read_path(-1).wire_bytes == 0);
}
