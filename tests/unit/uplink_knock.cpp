#include "services/uplink/knock.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using namespace holdfast;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;

namespace {

struct door {
  boost::asio::io_context io;
  tcp::acceptor acceptor{io, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  std::shared_ptr<net::address_cache> addresses = std::make_shared<net::address_cache>();
  int answers = 0;

  std::shared_ptr<uplink::knock> knock(const std::string& host = "127.0.0.1") {
    config::link l;
    l.connect = {host, acceptor.local_endpoint().port()};
    l.tuning.monitor.recovery_probe = 1ms;
    return uplink::knock::make(io, l, addresses, [this] { ++answers; });
  }
  /// Until nothing is left to do.
  void run() { io.run_for(10s); }
};

} // namespace

TEST_CASE("a knock is answered once, by an acceptance or by a refusal", "[uplink]") {
  const bool open = GENERATE(true, false);
  door d;
  auto k = d.knock();
  if (!open)
    d.acceptor.close();
  k->start();
  k->start();
  d.run();
  CHECK(d.answers == 1);
  CHECK(k->asked() == 1);
  k->start();
  d.io.restart();
  d.run();
  CHECK(d.answers == 2);
}

TEST_CASE("a name is knocked at where it was last, and not before that is known", "[uplink]") {
  door d;
  auto k = d.knock("collector.invalid");
  k->start();
  d.io.run_for(20ms);
  CHECK(k->asked() == 0);
  d.addresses->resolved({"127.0.0.1"}, {});
  d.run();
  CHECK(d.answers == 1);
}

TEST_CASE("the addresses of a name are knocked at in turn, and the one that answers is tried first", "[uplink]") {
  door d;
  const std::string hole = "127.0.0.2";
  tcp::acceptor full(d.io, {boost::asio::ip::make_address(hole), d.acceptor.local_endpoint().port()});
  full.listen(0);
  std::vector<std::unique_ptr<tcp::socket>> held;  // its queue is full: the next SYN is dropped
  for (int i = 0; i < 4; ++i) {
    held.push_back(std::make_unique<tcp::socket>(d.io, tcp::v4()));
    held.back()->async_connect(full.local_endpoint(), [](auto) {});
  }
  d.io.run_for(50ms);
  d.addresses->resolved({hole, "127.0.0.1"}, {});
  auto k = d.knock("collector.invalid");
  k->start();
  while (d.answers == 0 && d.io.run_one_for(10s) > 0)
    continue;
  CHECK(d.answers == 1);
  CHECK(d.addresses->known().front() == "127.0.0.1");
}

TEST_CASE("a knock that was stopped says nothing", "[uplink]") {
  door d;
  auto k = d.knock();
  k->start();
  k->stop();
  d.run();
  CHECK(d.answers == 0);
  CHECK(k->asked() == 0);
}

TEST_CASE("what the way says is silence, what the other end says is not", "[uplink]") {
  namespace error = boost::asio::error;
  CHECK_FALSE(uplink::silent({}));
  CHECK_FALSE(uplink::silent(error::connection_refused));
  CHECK_FALSE(uplink::silent(error::connection_reset));
  CHECK(uplink::silent(error::timed_out));
  CHECK(uplink::silent(error::host_unreachable));
  CHECK(uplink::silent(error::network_unreachable));
  CHECK(uplink::silent(error::operation_aborted));
}
