// What the UDP intake does while its SOURCE is slower than the network.

#include "acquisition_intake.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

using namespace holdfast;
using boost::asio::ip::udp;

namespace {

constexpr std::uint64_t datagram_size = 60'000;
constexpr std::uint64_t most_on_way = 4 << 20;  // as in udp_intake.cpp
constexpr unsigned flood = 400;                 // 24 MB: more than that and the kernel's buffer together

struct sender {
  boost::asio::io_context io;
  udp::socket out{io, {boost::asio::ip::address_v4::loopback(), 0}};
  udp::endpoint to{boost::asio::ip::address_v4::loopback(), free_port()};
  std::string bytes = std::string(datagram_size, 'x');
  std::uint64_t sent = 0;

  std::uint16_t free_port() {
    udp::socket one(io, {boost::asio::ip::address_v4::loopback(), 0});
    return one.local_endpoint().port();
  }
  config::source heard() const {
    config::udp_server_source kind;
    kind.listen = {.host = "127.0.0.1", .port = to.port()};
    kind.max_datagram = config::kib(64);
    config::source s;
    s.name = "camera";
    s.kind = kind;
    return s;
  }
  void send(test::source& s) {
    out.send_to(boost::asio::buffer(bytes), to);
    ++sent;
    s.io_turn();
  }
};

/// A source that takes nothing, and has been sent more than there is room for.
struct flooded {
  sender from;
  test::source to{from.heard(), acquisition::make_udp_server};

  flooded() {
    REQUIRE(to.says("listening "));
    while (from.sent < flood)
      from.send(to);
  }
};

} // namespace

TEST_CASE("what waits for a source that takes no datagrams is bounded", "[acquisition]") {
  flooded f;
  auto& s = f.to;
  s.field->stop();
  s.io_turn();  // nothing comes any more
  s.w.run();
  CHECK(s.got->bytes > most_on_way - 2 * datagram_size);
  CHECK(s.got->bytes < most_on_way + datagram_size);
}

TEST_CASE("what the kernel dropped is told once, also where no datagram comes after it", "[acquisition]") {
  flooded f;
  auto& d = f.from;
  auto& s = f.to;
  const auto told = [&] { return s.got->datagrams + s.got->lost; };
  REQUIRE(s.until([&] { return told() == d.sent; }));
  CHECK(s.got->lost > 0);
  for (int n = 0; n < 3; ++n) {
    d.send(s);  // it brings the kernel's count again
    REQUIRE(s.until([&] { return told() >= d.sent; }));
  }
  CHECK(told() == d.sent);
}

TEST_CASE("a source that is stopped is told what the kernel dropped, and that this was all", "[acquisition]") {
  flooded f;
  auto& d = f.from;
  auto& s = f.to;
  s.field->stop();
  CHECK(s.until([&] { return s.got->ended; }));
  CHECK(s.got->lost > 0);
  CHECK(s.got->datagrams + s.got->lost < d.sent);  // the rest was in the socket's buffer
}
