// What a good file becomes: values, defaults, environment, every kind of source.

#include "common/config/load.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>

using namespace holdfast::config;
using namespace std::chrono_literals;

namespace {

gateway good(const std::string& yaml) {
  auto r = load_text(yaml, "test.yaml");
  for (const auto& p : r.problems)
    UNSCOPED_INFO(p.where() << ": " << p.text);
  REQUIRE(r.problems.empty());
  return r.value;
}

source one_source(const std::string& fields) {
  auto g = good("sources:\n  - {name: s, " + fields + "}\n");
  REQUIRE(g.sources.size() == 1);
  return g.sources.front();
}

template <class T>
T kind_of(const std::string& fields) {
  return std::get<T>(one_source(fields).kind);
}

} // namespace

TEST_CASE("what is left out has its default", "[config]") {
  auto g = good("name: g1\nlinks:\nsources:\nstore:\n");
  CHECK(g.name == "g1");
  CHECK(g.path == "test.yaml");
  REQUIRE(g.classes.size() == 3);
  CHECK(g.classes[0].name == "critical");
  CHECK(g.classes[0].priority == 10);
  CHECK(g.classes[1].name == "telemetry");
  CHECK(g.classes[2].priority == 200);
  CHECK(g.store.quota == gib(10));
  CHECK(g.sources.empty());
  CHECK_FALSE(g.collector);
}

TEST_CASE("own classes replace the default ones", "[config]") {
  auto g = good("classes: [{name: alarms, priority: 1}, {name: rest}]");
  REQUIRE(g.classes.size() == 2);
  CHECK(g.classes[0].priority == 1);
  CHECK(g.classes[1].priority == 100);
}

TEST_CASE("a class says what it does where there is no room", "[config]") {
  auto g = good("classes:\n  - {name: alarms, priority: 1}\n"
                "  - {name: files, overflow: drop-oldest, quota: 1GiB, ttl: 2h, durability_window: 50ms,"
                " backlog_share: 5}\n"
                "  - {name: trend, overflow: thin}\n");
  CHECK(g.classes[0].overflow == overflow_rule::reject);
  CHECK(g.classes[0].quota == bytes{0});
  CHECK(g.classes[0].ttl.count() == 0);
  CHECK(g.classes[0].durability_window.count() == 0);
  CHECK_FALSE(g.classes[0].backlog_share);
  CHECK(g.classes[1].overflow == overflow_rule::drop_oldest);
  CHECK(g.classes[1].quota == gib(1));
  CHECK(g.classes[1].ttl == std::chrono::hours(2));
  CHECK(g.classes[1].durability_window == std::chrono::milliseconds(50));
  CHECK(g.classes[1].backlog_share == 5);
  CHECK(g.classes[2].overflow == overflow_rule::thin);
}

TEST_CASE("a transparent source's stream is its name", "[config]") {
  CHECK(one_source("type: tcp-server, listen: '[::]:1'").stream == "s");
  CHECK(one_source("type: tcp-server, listen: '[::]:1', stream: a/b").stream == "a/b");
  CHECK(one_source("type: simulator, signals: [{name: x}]").stream.empty());
}

TEST_CASE("what all sources have", "[config]") {
  auto s = one_source("type: udp-server, listen: '[::]:1', class: bulk, window: 1MiB, batch: {records: 7, size: 4KiB, "
                      "linger: 9ms}");
  CHECK(s.record_class == "bulk");
  CHECK(s.window == mib(1));
  CHECK(s.batch.records == 7);
  CHECK(s.batch.size == kib(4));
  CHECK(s.batch.linger == 9ms);
  CHECK(s.line == 2);
}

TEST_CASE("tcp and udp sources", "[config]") {
  auto server = kind_of<tcp_server_source>("type: tcp-server, listen: '[::]:1', confirm: count, max_connections: 3");
  CHECK(server.listen == endpoint{"::", 1});
  CHECK(server.confirm == confirm_kind::count);
  CHECK(server.max_connections == 3);
  CHECK(server.framing.kind == framing_kind::line);
  CHECK(kind_of<tcp_client_source>("type: tcp-client, connect: '[::1]:2'").connect == endpoint{"::1", 2});
  CHECK(kind_of<udp_server_source>("type: udp-server, listen: '[::]:1', max_datagram: 100").max_datagram == bytes{100});
}

TEST_CASE("framings", "[config]") {
  auto framed = [](const std::string& framing) {
    return kind_of<tcp_client_source>("type: tcp-client, connect: 'h:1', framing: {" + framing + "}").framing;
  };
  CHECK(framed("max_length: 10").kind == framing_kind::line);
  auto prefix = framed("type: length-prefix, prefix_bytes: 4, prefix_order: little, prefix_counts_itself: true");
  CHECK(prefix.kind == framing_kind::length_prefix);
  CHECK(prefix.prefix_bytes == 4);
  CHECK_FALSE(prefix.prefix_big_endian);
  CHECK(prefix.prefix_counts_itself);
  CHECK(framed("type: fixed, length: 32").length == bytes{32});
  CHECK(framed("type: idle-gap, gap: 20ms").gap == 20ms);
}

TEST_CASE("a serial source starts with idle-gap framing", "[config]") {
  auto s = kind_of<serial_source>("type: serial, device: /dev/ttyS0, baud: 115200, parity: even, stop_bits: 2");
  CHECK(s.line.device == "/dev/ttyS0");
  CHECK(s.line.baud == 115200);
  CHECK(s.line.parity == 'E');
  CHECK(s.line.stop_bits == 2);
  CHECK(s.framing.kind == framing_kind::idle_gap);
  CHECK(kind_of<serial_source>("type: serial, device: x, parity: O, framing: {max_length: 9}").framing.kind
        == framing_kind::idle_gap);
}

TEST_CASE("modbus sources", "[config]") {
  auto m = kind_of<modbus_source>(
    "type: modbus-tcp, connect: 'h:502', devices: [{name: d, unit: 9, period: 2s, points: ["
    "{name: p, address: 0x10, table: input, type: float32, byte_order: little, word_order: little, scale: -0.1, "
    "offset: 2, period: 5s, report: on-change, dead_band: 0.5, report_interval: 1h}, "
    "{name: c, table: coil, address: 1}, {name: b, address: 2, bit: 15}, {name: t, address: 3, type: string, length: 8}]}]");
  CHECK(std::get<endpoint>(m.transport).port == 502);
  REQUIRE(m.devices.size() == 1);
  CHECK(m.devices[0].unit == 9);
  REQUIRE(m.devices[0].points.size() == 4);
  const auto& p = m.devices[0].points[0];
  CHECK(p.address == 16);
  CHECK(p.table == register_table::input);
  CHECK(p.type == register_type::float32);
  CHECK_FALSE(p.big_endian_bytes);
  CHECK_FALSE(p.big_endian_words);
  CHECK(p.scale == -0.1);
  CHECK(p.offset == 2.0);
  CHECK(p.period == 5s);
  CHECK(p.report == report_kind::on_change);
  CHECK(p.report_interval == 1h);
  CHECK_FALSE(m.devices[0].points[1].period);
  CHECK(m.devices[0].points[1].type == register_type::bit);
  CHECK(m.devices[0].points[2].bit == 15U);
  CHECK(m.devices[0].points[3].length == 8);

  auto rtu = kind_of<modbus_source>(
    "type: modbus-rtu, device: /dev/ttyS1, baud: 19200, devices: [{name: d, points: [{name: p, address: 0}]}]");
  CHECK(std::get<serial_line>(rtu.transport).baud == 19200);
}

TEST_CASE("simulator sources", "[config]") {
  auto s = kind_of<simulator_source>("type: simulator, period: 20ms, signals: [{name: x, shape: sawtooth, noise: 0}]");
  CHECK(s.period == 20ms);
  REQUIRE(s.signals.size() == 1);
  CHECK(s.signals[0].shape == waveform::sawtooth);
  CHECK(s.signals[0].noise == 0.0);
}

TEST_CASE("a tls section switches TLS on", "[config]") {
  auto link_with = [](const std::string& tls) {
    return good("destinations: [{name: d}]\nlinks: [{name: l, destination: d, connect: 'h:1'" + tls + "}]").links.at(0);
  };
  CHECK_FALSE(link_with("").tls.enabled);
  CHECK(link_with(", tls: {}").tls.enabled);
  CHECK(link_with(", tls: {ca_file: x}").tls.ca_file == "x");
  CHECK(link_with(", tls: {ca_file: x}").tls.enabled);
  CHECK_FALSE(link_with(", tls: {ca_file: x, enabled: false}").tls.enabled);
}

TEST_CASE("the other sections", "[config]") {
  auto g = good("links: [{name: l, destination: d, connect: 'h:1', keepalive: {idle: 1min}, reconnect: {cap: 5s}}]\n"
                "destinations: [{name: d, classes: [bulk]}]\n"
                "watchdog: {strategy: rest-for-one, services: [store, uplink-l], feed_device: true}\n"
                "collector: {name: c, quota: 1GB}\nhealth: {tap_queue: 5}\nlog: {level: debug}\n");
  CHECK(g.links[0].keepalive.idle == 60s);
  CHECK(g.links[0].reconnect.cap == 5s);
  CHECK(g.destinations[0].classes == std::vector<std::string>{"bulk"});
  CHECK(g.watchdog.strategy == restart_strategy::rest_for_one);
  CHECK(g.watchdog.services.size() == 2);
  CHECK(g.watchdog.feed_device);
  REQUIRE(g.collector);
  CHECK(g.collector->quota == bytes{1'000'000'000});
  CHECK(g.health.tap_queue == 5);
  CHECK(g.log.level == "debug");
}

TEST_CASE("environment references are replaced in values", "[config]") {
  ::setenv("HOLDFAST_TEST_A", "alpha", 1);
  ::setenv("HOLDFAST_TEST_EMPTY", "", 1);
  ::unsetenv("HOLDFAST_TEST_NONE");
  CHECK(good("name: ${HOLDFAST_TEST_A}").name == "alpha");
  CHECK(good("name: g-${HOLDFAST_TEST_A}-${HOLDFAST_TEST_A}.x").name == "g-alpha-alpha.x");
  CHECK(good("name: ${HOLDFAST_TEST_NONE:-beta}").name == "beta");
  CHECK(good("name: ${HOLDFAST_TEST_EMPTY:-gamma}").name == "gamma");
  CHECK(good("name: x${HOLDFAST_TEST_EMPTY}").name == "x");
  CHECK(good("health: {tap_queue: \"${HOLDFAST_TEST_NONE:-12}\"}").health.tap_queue == 12);
  CHECK(good("run_directory: a$b").run_directory == "a$b");
}

TEST_CASE("an alias stands for what it names", "[config]") {
  auto g = good("destinations: [{name: d}]\nlinks:\n"
                "  - {name: a, destination: d, connect: 'h:1', reconnect: &r {cap: 7s}}\n"
                "  - {name: b, destination: d, connect: 'h:2', reconnect: *r}\n");
  CHECK(g.links[1].reconnect.cap == 7s);
}
