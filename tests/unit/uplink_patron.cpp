#include "services/uplink/outbox.hpp"
#include "services/uplink/patron.hpp"

#include <catch2/catch.hpp>

using namespace holdfast;
using uplink::outbox;
using uplink::patron;

TEST_CASE("a hello that was repeated is welcomed twice, and what stands may stand", "[uplink]") {
  patron p;
  CHECK_FALSE(p.known());
  CHECK(p.welcome("plant", 7, 1, true) == patron::news::other);
  CHECK(p.known());
  CHECK(p.welcome("plant", 7, 1, false) == patron::news::repeated);
  CHECK(p.welcome("plant", 7, 1, false) == patron::news::repeated);
}

TEST_CASE("a store that was asked anew, or lives anew, has leased nothing", "[uplink]") {
  patron p;
  p.welcome("plant", 7, 1, true);
  CHECK(p.welcome("plant", 7, 1, true) == patron::news::anew);    // the bus broke, or it did not know us
  CHECK(p.welcome("plant", 7, 2, false) == patron::news::anew);   // its successor read the second hello
  CHECK(p.welcome("plant", 7, 2, false) == patron::news::repeated);
  CHECK(p.welcome("plant", 8, 2, false) == patron::news::other);
  CHECK(p.welcome("copy", 8, 2, false) == patron::news::other);
}

TEST_CASE("an older store does not tell its life, so each welcome begins anew", "[uplink]") {
  patron p;
  p.welcome("plant", 7, 0, true);
  CHECK(p.welcome("plant", 7, 0, false) == patron::news::anew);
}

TEST_CASE("pings go first, then live records; they overtake the backlog only so far", "[uplink]") {
  outbox o;
  const auto put = [&](const char* head, bool historical, std::size_t bytes = 0) {
    v1::WireMessage m;
    m.mutable_data()->set_historical(historical);
    o.put(m, {head, blob(std::string(bytes, 'x'))});
  };
  put("backlog", true);
  for (int i = 0; i < 3; ++i)
    put("live", false, outbox::most_overtaken / 2);
  v1::WireMessage ping;
  ping.mutable_ping();
  o.put(ping, {"ping", {}});
  std::string order;
  while (!o.empty())
    for (auto& f : o.take())
      order += f.head + ' ';
  CHECK(order == "ping live live backlog live ");
  CHECK(o.take().empty());
}
