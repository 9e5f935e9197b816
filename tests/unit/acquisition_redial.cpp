// When a device is called again, and that the intakes do so: over TCP and a pty.

#include "acquisition_intake.hpp"
#include "services/acquisition/redial.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <vector>

using namespace holdfast;
using namespace holdfast::acquisition;
using test::source;
using boost::asio::ip::tcp;
using namespace std::chrono_literals;

namespace {

const redial::time_point start{1h};

struct device {
  boost::asio::io_context io;
  tcp::acceptor at{io, {boost::asio::ip::address_v4::loopback(), 0}};

  config::source called(const std::string& host = "127.0.0.1") const {
    config::tcp_client_source kind;
    kind.connect = {.host = host, .port = at.local_endpoint().port()};
    config::source s;
    s.name = "press-7";
    s.kind = kind;
    return s;
  }
  tcp::socket answers(source& s) {
    at.non_blocking(true);
    tcp::socket line(io);
    boost::system::error_code nobody;
    REQUIRE(s.until([&] { return at.accept(line, nobody), line.is_open(); }));
    return line;
  }
};

} // namespace

TEST_CASE("a device that accepts and closes is called ever more rarely, up to every 30 s", "[acquisition]") {
  redial r;
  auto now = start;
  std::vector<long> waits;
  for (int n = 0; n < 11; ++n) {
    r.began(now);
    now += 999ms;
    REQUIRE_FALSE(r.ended(false, now));
    waits.push_back(r.wait(1).count());
  }
  CHECK(waits == std::vector<long>{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000});
  CHECK(r.wait(0) == 15s);
}

TEST_CASE("a conversation that lasted or brought a byte ends the waits", "[acquisition]") {
  redial r;
  for (const bool byte : {true, false}) {
    for (int n = 0; n < 5; ++n)
      r.wait(0);
    r.began(start);
    CHECK(r.ended(byte, start + (byte ? 0ms : 1000ms)));
    CHECK(r.wait(1) == 100ms);
  }
}

TEST_CASE("a TCP source says that its device closes at once", "[acquisition]") {
  device d;
  source s(d.called(), make_tcp_client);
  d.answers(s).close();
  REQUIRE(s.says("failing "));
  const auto at = fmt::format("127.0.0.1:{}", d.at.local_endpoint().port());
  CHECK(s.got->said.find(fmt::format("connected {0};failing failed to talk to {0}: closed by the device;", at)) == 0);
}

TEST_CASE("a TCP device that sends a line and closes is called again at once", "[acquisition]") {
  device d;
  source s(d.called(), make_tcp_client);
  for (int n = 0; n < 3; ++n) {
    auto line = d.answers(s);
    boost::asio::write(line, boost::asio::buffer("a\n", 2));
  }
  REQUIRE(s.says("connected "));
  CHECK(s.got->said.find("failing") == std::string::npos);
}

TEST_CASE("no TCP source waits for a resolver that it shares with others", "[acquisition]") {
  for (const auto* host : {"127.0.0.1", "localhost"}) {
    INFO(host);
    device d;
    source s(d.called(host), make_tcp_client);
    const auto line = d.answers(s);
    CHECK(s.says("connected 127.0.0.1:"));
    // Asio's would have one thread for all sources.
    CHECK_FALSE(boost::asio::has_service<boost::asio::detail::resolver_service<tcp>>(s.rt.io().context()));
  }
}

TEST_CASE("a serial source says that its line ends as soon as it is open", "[acquisition]") {
  const int other_end = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(::grantpt(other_end) == 0);
  REQUIRE(::unlockpt(other_end) == 0);
  config::serial_source kind;
  kind.line.device = ::ptsname(other_end);
  config::source settings;
  settings.name = "scale-2";
  settings.kind = kind;
  source s(settings, make_serial);
  const bool opened = s.says("open ");
  ::close(other_end);
  REQUIRE(opened);
  REQUIRE(s.says("failing "));
  CHECK(s.got->said.find("failing failed to read " + kind.line.device + ": ") != std::string::npos);
}
