// The line against peers whose answers are not to be believed.

#include "services/acquisition/modbus/line.hpp"

#include "services/acquisition/modbus/bus_master.hpp"
#include "tests/unit/modbus_peers.hpp"

#include <catch2/catch.hpp>

#include <future>

using namespace holdfast;
using namespace holdfast::acquisition;
using namespace holdfast::acquisition::modbus;
using namespace std::chrono_literals;

namespace {

/// Register 7 of unit 1. All peers answer at once: the time to wait is for a busy machine.
answer ask(line& l) {
  return l.read(1, {config::register_table::holding, 7, 1, 1s, {0}}, 10s);
}

const bytes value{3, 2, 0x12, 0x34}; // function, byte count, the register

behaviour serial_from(std::uint8_t unit) {
  return [unit](const bytes&) { return with_crc(bytes{unit} + value); };
}

behaviour tcp_from(std::uint8_t unit, int later = 0) {
  return [=](const bytes& request) {
    const auto low = static_cast<std::uint8_t>(request[1] + later);
    return bytes{request[0], low, 0, 0, 0, 5, unit} + value;
  };
}

bool is_value(const answer& a) {
  return a.how == outcome::values && a.registers == std::vector<std::uint16_t>{0x1234};
}

bool has(const answer& a, const std::string& detail) {
  return a.how == outcome::silent && a.registers.empty() && a.detail.find(detail) != std::string::npos;
}

template <class Peer> answer first_answer(Peer& p) {
  line l(p.transport(), [] { return true; });
  REQUIRE(l.open().empty());
  return ask(l);
}

/// Of register 200, on a bus whose unit has register 10, too.
sample first_sample(const serial_peer& p, config::register_type type) {
  config::modbus_device d;
  d.name = "d";
  d.timeout = 200ms;
  d.period = 50ms;
  d.points.resize(2);
  d.points[0].name = "10";
  d.points[0].address = 10;
  d.points[1].name = "200";
  d.points[1].address = 200;
  d.points[1].type = type;
  std::promise<sample> got;
  bool told = false;
  const auto take = [&](const std::vector<sample>& all) {
    if (all.front().stream == "d/200" && !std::exchange(told, true))
      got.set_value(all.front());
  };
  pulse beats;
  metrics figures;
  bus_master master({p.transport(), {d}}, "bus", {take, [](auto&&...) {}}, beats, figures);
  master.start();
  auto value = got.get_future();
  REQUIRE(value.wait_for(10s) == std::future_status::ready);
  master.stop();
  return value.get();
}

} // namespace

TEST_CASE("modbus line: on a serial line another unit is not believed", "[modbus][two-process]") {
  serial_peer honest({serial_from(1)});
  CHECK(is_value(first_answer(honest)));
  for (unsigned unit : {0, 2, 247}) {
    serial_peer p({serial_from(static_cast<std::uint8_t>(unit))});
    CHECK(has(first_answer(p), "unit " + std::to_string(unit) + " instead of 1"));
    CHECK(p.requests == 2);
  }
}

TEST_CASE("modbus line: on a serial line nothing damaged is believed", "[modbus][two-process]") {
  serial_peer damaged({[](const bytes&) {
    auto frame = with_crc(bytes{1} + value);
    frame[4] ^= 1;
    return frame;
  }});
  CHECK(has(first_answer(damaged), "Invalid CRC"));
  serial_peer other({[](const bytes&) { return with_crc({1, 4, 2, 0x12, 0x34}); }});
  CHECK(has(first_answer(other), "function 4 instead of 3"));
  serial_peer refuses({[](const bytes&) { return with_crc({1, 0x83, 2}); }});
  CHECK(first_answer(refuses).how == outcome::refused);
}

TEST_CASE("modbus line: after another unit's answer the right one is taken", "[modbus][two-process]") {
  serial_peer on_serial({serial_from(2), serial_from(1)});
  CHECK(is_value(first_answer(on_serial)));
  tcp_peer on_tcp({tcp_from(2), tcp_from(1)});
  CHECK(is_value(first_answer(on_tcp)));
  CHECK(on_tcp.connections == 2); // what else that connection holds is not looked at
}

TEST_CASE("modbus line: whether an answer may still come", "[modbus][two-process]") {
  const auto owed = [](auto& p, std::chrono::milliseconds timeout) {
    line l(p.transport(), [] { return true; });
    REQUIRE(l.open().empty());
    return l.read(1, {config::register_table::holding, 7, 1, 1s, {0}}, timeout).owed;
  };
  const behaviour nothing = [](const bytes&) { return bytes{}; };
  serial_peer right({serial_from(1)});
  serial_peer refuses({[](const bytes&) { return with_crc({1, 0x83, 2}); }});
  serial_peer silent({nothing});
  serial_peer repeated({serial_from(2), serial_from(1)});
  CHECK(!owed(right, 10s));
  CHECK(!owed(refuses, 10s));
  CHECK(owed(silent, 10ms));
  CHECK(owed(repeated, 10s)); // two requests, one answer
  tcp_peer silent_on_tcp({nothing});
  tcp_peer repeated_on_tcp({tcp_from(2), tcp_from(1)});
  CHECK(!owed(silent_on_tcp, 10ms));
  CHECK(!owed(repeated_on_tcp, 10s));
}

TEST_CASE("modbus line: after a silence the unit is asked for nothing the answer would fit", "[modbus][two-process]") {
  using clock = std::chrono::steady_clock;
  std::vector<std::pair<unsigned, clock::time_point>> asked; // registers, the first of which is left without an answer
  serial_peer p({[&](const bytes& request) {
    asked.emplace_back(request[3], clock::now());
    return asked.size() == 1 ? bytes{} : with_crc(bytes{1, 3, 2, 0, request[3]});
  }});
  const auto begun = clock::now();  // the first is asked after that
  CHECK(first_sample(p, config::register_type::uint16).quality == quality::good);
  const auto other = std::find_if(asked.begin(), asked.end(), [](auto& a) { return a.first == 200; });
  REQUIRE(other != asked.end());
  CHECK(asked.front().first == 10);
  CHECK(other->second - begun >= late_limit(200ms));
}

TEST_CASE("modbus line: after a silence an exception is not believed", "[modbus][two-process]") {
  bool first = true;
  bool refused = false;
  serial_peer p({[&](const bytes& request) {
    if (std::exchange(first, false))
      return bytes{};
    if (request[5] == 1)
      return with_crc({1, 3, 2, 0, 7});
    // To two registers: as if the answer to the first request came now, and then the right ones.
    return std::exchange(refused, true) ? with_crc({1, 3, 4, 0, 0, 0, 7}) : with_crc({1, 0x83, 2});
  }});
  CHECK(std::get<std::uint64_t>(first_sample(p, config::register_type::uint32).value) == 7);
  CHECK(refused);
}

TEST_CASE("modbus line: requests on TCP have transactions of their own", "[modbus][two-process]") {
  std::vector<unsigned> seen;
  tcp_peer p({[&](const bytes& request) {
    seen.push_back(request[0] << 8U | request[1]);
    return tcp_from(1, seen.size() == 2 ? -1 : 0)(request); // once the answer to the request before
  }});
  line l(p.transport(), [] { return true; });
  REQUIRE(l.open().empty());
  for (int i = 0; i != 3; ++i)
    CHECK(is_value(ask(l)));
  CHECK(seen == std::vector<unsigned>{1, 2, 3, 4});
  CHECK(p.connections == 2);
}

TEST_CASE("modbus line: who is never right on TCP loses the connection", "[modbus][two-process]") {
  tcp_peer p({tcp_from(0)});
  line l(p.transport(), [] { return true; });
  REQUIRE(l.open().empty());
  CHECK(has(ask(l), "unit 0 instead of 1"));
  CHECK(!l.is_open());
  CHECK(p.requests == 2);
}

TEST_CASE("modbus line: exceptions that no standard names are answers", "[modbus][two-process]") {
  tcp_peer p({[](const bytes& r) { return bytes{r[0], r[1], 0, 0, 0, 3, 1, 0x83, 77}; }});
  const auto a = first_answer(p);
  CHECK(a.how == outcome::exception);
  CHECK(a.detail.ends_with("answers: exception 77"));
}
