// Every kind of problem, with the line it is reported on. Those of links: config_problems_links.cpp.

#include "config_wrong.hpp"

#include "common/config/limits.hpp"

#include <cstdlib>

using namespace config_test;

TEST_CASE("a problem says where it is", "[config]") {
  auto r = load_text("name: x\nlog: {level: loud}\n", "gw.yaml");
  REQUIRE(r.problems.size() == 1);
  CHECK(r.problems[0].where() == "gw.yaml:2:14");
  CHECK(r.problems[0].text
        == "level: expected one of trace, debug, info, warn, error, off, found 'loud'");
}

TEST_CASE("a run directory leaves room for the longest socket path", "[config]") {
  const std::string fits(107 - std::string("/control.watchdog-acquisition.sock").size(), 'd');
  CHECK(load_text("run_directory: " + fits, "t").problems.empty());
  check({{"\nrun_directory: " + fits + "d", 2,
          "run_directory of 74 bytes: at most 73, for the path of a Unix socket has at most 107 bytes and the longest one "
          "here is control.watchdog-acquisition.sock"}});
  const std::string link(64, 'l');
  const auto site = [&](const std::string& run) {
    return "destinations: [{name: d}]\nlinks: [{name: " + link
           + ", destination: d, connect: 'h:1'}]\nrun_directory: " + run;
  };
  CHECK(load_text(site("/run/holdfast"), "t").problems.empty());
  check({{site("/run/holdfast2"), 3, "at most 13"},
         {"destinations: [{name: d}]\nlinks:\n  - {name: " + std::string(200, 'l') + ",\n     destination: d, connect: 'h:1'}\n"
            "run_directory: /run/x", 3, "name: expected a name of up to 64"}});
}

TEST_CASE("all problems are reported, in the order of the file", "[config]") {
  auto r = load_text("nme: x\nlog: {level: loud}\nstore: {quota: 1, max_batch: x}\nlinks: 5\n", "t");
  std::vector<int> lines;
  for (const auto& p : r.problems)
    lines.push_back(p.line);
  CHECK(lines == std::vector<int>{1, 2, 3, 3, 4});
}

TEST_CASE("keys", "[config]") {
  check({{"\nnme: x", 2, "unknown key 'nme'; did you mean 'name'?"},
         {"log:\n  zzzzzz: x", 2, "unknown key 'zzzzzz'; allowed: level"},
         {"name: a\nname: b", 2, "duplicate key 'name'"},
         {"log:\n  level: info\n  level: info", 3, "duplicate key 'level'"},
         {"${HOME}: x", 1, "unknown key"},
         {"? ~\n: x", 1, "a key must be a plain word"},
         {source_with("type: simulator\n    baud: 9600\n    signals: [{name: x}]"), 4,
          "unknown key 'baud' for type simulator"},
         {"sources:\n  - type: simulator\n    signals: [{name: x}]", 2, "missing key 'name'"},
         {source_with("type: tcp-server"), 2, "missing key 'listen'"},
         {source_with("listen: '[::]:1'"), 2, "missing key 'type': expected one of tcp-server, tcp-client"}});
}

TEST_CASE("types of values", "[config]") {
  check({{"name: [a]", 1, "name: expected a name"},
         {"name:", 1, "found nothing"},
         {"log: info", 1, "log: expected a map of keys and values, found 'info'"},
         {"links: {name: x}", 1, "links: expected a list, found a map"},
         {"sources:\n  - abc", 2, "expected a map"},
         {"watchdog:\n  feed_device: yes", 2, "expected true or false, found 'yes'"},
         {"watchdog:\n  services: store", 2, "expected a list of texts"},
         {"watchdog:\n  services: [[store]]", 2, "found a list"},
         {"store:\n  quota: lots", 2, "expected a size from 16MiB"},
         {"name: !secret x", 1, "tag '!secret' has no meaning"},
         {source_with("type: simulator\n    signals: [{name: x, noise: nan}]"), 4, "expected a number of at least 0"},
         {source_with("type: simulator\n    signals: []"), 4, "at least one entry, found an empty list"},
         {source_with("type: [serial]"), 3, "expected one of tcp-server"}});
}

TEST_CASE("limits of values", "[config]") {
  check({{"store:\n  backlog_share: 101", 2, "expected a whole number from 0 to 100, found '101'"},
         {"store:\n  backlog_share: -1", 2, "whole number"},
         {"store:\n  backlog_share: 99999999999999999999", 2, "whole number"},
         {"store:\n  quota: 1KiB", 2, "expected a size from 16MiB"},
         {"store:\n  quota: 18446744073709551615", 2, "expected a size"},
         {"health:\n  interval: 5", 2, "expected a duration from 100ms to 1h (ms, s, min, h, d), found '5'"},
         {"health:\n  interval: 1ms", 2, "expected a duration"},
         {"health:\n  listen: 127.0.0.1:0", 2, "expected host:port with a port from 1 to 65535"},
         {link_with("keepalive: {idle: 1500ms}"), 4, "whole seconds"},
         {link_with("transport: carrier-pigeon"), 4, "expected one of tcp"},
         {source_with("type: serial\n    device: ''"), 4, "not empty"}});
}

TEST_CASE("words", "[config]") {
  check({{source_with("type: tcp-serve"), 3, "expected one of tcp-server, tcp-client, udp-server, serial"},
         {source_with("type: tcp-server\n    listen: '[::]:1'\n    framing: {type: lines}"), 5,
          "expected one of line, length-prefix, fixed, idle-gap, found 'lines'"},
         {source_with("type: tcp-server\n    listen: '[::]:1'\n    confirm: yes"), 5, "expected one of none, count"},
         {source_with("type: tcp-server\n    listen: '[::]:1'\n    framing: {type: length-prefix, prefix_bytes: 3}"), 5,
          "expected one of 1, 2, 4"},
         {source_with("type: tcp-server\n    listen: '[::]:1'\n    framing: {type: fixed}"), 5, "missing key 'length'"},
         {"watchdog:\n  strategy: one_for_one", 2, "expected one of one-for-one, rest-for-one"}});
}

TEST_CASE("names become files, topics and sockets", "[config]") {
  for (const auto* name : {"a/b", "''", ".a", "-a", "a b", "ä", "..", "a\\b"})
    check({{"name: " + std::string{name}, 1, "expected a name of up to 64"}});
  check({{"name: " + std::string(65, 'a'), 1, "expected a name"}});
  CHECK(load_text("name: " + std::string(64, 'a'), "t").problems.empty());
  for (const auto* stream : {"a//b", "/a", "a/", "a/../b", "a/.b"})
    check({{source_with("type: udp-server\n    listen: '[::]:1'\n    stream: " + std::string{stream}), 5, "stream: "}});
}

TEST_CASE("as many sources and Modbus devices as heartbeats and figures have room for", "[config]") {
  const auto sources = [](std::size_t count) {
    std::string out = "sources:\n";
    for (std::size_t n = 0; n < count; ++n)
      out += "  - {name: s" + std::to_string(n) + ", type: simulator, signals: [{name: x}]}\n";
    return out;
  };
  CHECK(load_text(sources(most_sources), "t").problems.empty());
  check({{sources(most_sources + 1), 1002, "1001 sources: one gateway takes at most 1000"}});
  const auto devices = [](std::size_t count) {
    std::string out = "sources:\n  - name: s\n    type: modbus-tcp\n    connect: h:1\n    devices:\n";
    for (std::size_t n = 0; n < count; ++n)
      out += "      - {name: d" + std::to_string(n) + ", points: [{name: p, address: 0}]}\n";
    return out;
  };
  CHECK(load_text(devices(most_devices), "t").problems.empty());
  check({{devices(most_devices + 2), 4006, "4002 Modbus devices: one gateway takes at most 4000"}});
}

TEST_CASE("whoever listens names an address, not a host", "[config]") {
  const std::string part = "listen: expected an address of this machine or localhost, found 'gateway.plant.local'; ";
  const std::string listen = "listen: gateway.plant.local:4001";
  check({{source_with("type: tcp-server\n    " + listen), 4, part},
         {source_with("type: udp-server\n    " + listen), 4, part},
         {"health:\n  " + listen, 2, part},
         {"collector:\n  " + listen, 2, part},
         {source_with("type: udp-server\n    listen: 192.168.1:4001"), 4, "found '192.168.1'"}});
  for (const auto* host : {"0.0.0.0", "192.0.2.7", "localhost", "'[::]", "'[2001:db8::7]", "'[fe80::1%eth0]"})
    CHECK(load_text(source_with("type: udp-server\n    listen: " + std::string{host} + ":4001"
                                + (*host == '\'' ? "'" : "")), "t").problems.empty());
}

TEST_CASE("names that meet twice", "[config]") {
  const std::string signal = ", type: simulator, signals: [{name: x}]}\n";
  const std::string point = "points: [{name: p, address: 0}]}";
  check({{"sources:\n  - {name: a" + signal + "  - {name: a, type: udp-server, listen: '[::]:1'}", 3,
          "duplicate source 'a', already used on line 2"},
         {"sources:\n  - {name: a, type: udp-server, listen: '[::]:1'}\n"
          "  - {name: a, type: udp-server, listen: '[::]:2'}", 3, "duplicate source 'a'"},
         {"classes:\n  - {name: telemetry}\n  - {name: telemetry}", 3, "duplicate class"},
         {"destinations:\n  - {name: d}\n  - {name: d}\n" + link_to("d"), 3, "duplicate destination"},
         {link_with("window: 1MiB") + "  - {name: l, destination: d, connect: 'h:1'}", 5, "duplicate link 'l'"},
         {"sources:\n  - {name: a, type: modbus-tcp, connect: 'h:1', devices: [{name: d, " + point
            + ",\n    {name: d, points: [{name: q, address: 0}]}]}",
          3, "duplicate device 'd'"},
         {point_with("address: 1},\n    {name: p, address: 2"), 4, "duplicate stream 'd/p', already used on line 3"},
         {"sources:\n  - {name: a" + signal + "  - {name: b, type: udp-server, listen: '[::]:1', stream: a/x}", 3,
          "duplicate stream 'a/x'"},
         {"sources:\n  - {name: a, type: udp-server, listen: '[::]:1'}\n"
          "  - {name: b, type: udp-server, listen: '[::]:1'}", 3, "duplicate listen address '[::]:1'"},
         {"sources:\n  - {name: a, type: tcp-server, listen: '127.0.0.1:9464'}", 2, "already used by default"},
         {"sources:\n  - {name: a, type: serial, device: x}\n  - {name: b, type: serial, device: x}", 3,
          "duplicate serial device"},
         {"watchdog:\n  services: [store,\n    store]", 3, "duplicate service"}});
}

TEST_CASE("the same port of UDP and TCP is no conflict", "[config]") {
  const auto r = load_text("sources:\n  - {name: a, type: udp-server, listen: '[::]:1'}\n"
                           "  - {name: b, type: tcp-server, listen: '[::]:1'}",
                           "t");
  CHECK(r.problems.empty());
}

TEST_CASE("references", "[config]") {
  check({{source_with("type: udp-server\n    listen: '[::]:1'\n    class: telemetri"), 5,
          "unknown class 'telemetri'; did you mean 'telemetry'?"},
         {"classes: [{name: only}]\n" + source_with("type: udp-server\n    listen: '[::]:1'"), 3,
          "unknown class 'telemetry'; allowed: only"},
         {"destinations:\n  - {name: d,\n     classes: [bulk, nothing]}\n" + link_to("d"), 3, "unknown class 'nothing'"},
         {"links:\n  - {name: l, destination: d, connect: 'h:1'}", 2, "there are links but no destination"},
         {"destinations: [{name: centre}]\nlinks:\n  - {name: l, connect: 'h:1',\n     destination: center}", 4,
          "unknown destination 'center'; did you mean 'centre'?"},
         {"watchdog:\n  services: [stor]", 2, "unknown service 'stor'; did you mean 'store'?"}});
}

TEST_CASE("values that contradict each other", "[config]") {
  check({{link_with("heartbeat_timeout: 1s"), 4, "heartbeat_timeout is shorter"},
         {link_with("heartbeat_interval: 1min"), 4, "heartbeat_timeout is shorter"},
         {link_with("reconnect: {first: 10s, cap: 5s}"), 4, "cap is shorter than first"},
         {link_with("tls: {key_file: x}"), 4, "certificate_file and key_file go together"},
         {"watchdog:\n  backoff_first: 1min", 2, "backoff_cap is shorter"},
         {"collector:\n  tls: {}", 2, "needs certificate_file and key_file"},
         {"store:\n  quota: 16MiB\n  max_batch: 32MiB", 3, "max_batch is larger than quota"},
         {"classes:\n  - name: a\n    quota: 20GiB", 3, "quota is larger than the store's"},
         {"classes:\n  - name: a\n    quota: 1MiB", 3, "quota is smaller than the store's max_batch"},
         {link_with("window: 8MiB") + "collector:\n  max_frame: 1MiB", 6, "max_frame is smaller than the store's"},
         {source_with("type: udp-server\n    listen: '[::]:1'\n    window: 16KiB"), 5, "window is smaller"},
         {source_with("type: udp-server\n    listen: '[::]:1'\n    batch: {size: 5MiB}"), 5, "do not fit into the store's"}});
}

TEST_CASE("a collector's own file is not held against the store's defaults", "[config]") {
  CHECK(load_text("collector:\n  max_frame: 64KiB\n", "t").problems.empty());
}

TEST_CASE("register maps", "[config]") {
  check({{point_with("address: 65536"), 3, "address: expected a whole number from 0 to 65535"},
         {point_with("address: 65535, type: float32"), 3, "beyond the last register"},
         {point_with("address: 0, table: coil, type: int16"), 3, "always bit"},
         {point_with("address: 0, table: coil, bit: 1"), 3, "only for the tables holding and input"},
         {point_with("address: 0, type: bit"), 3, "needs the key 'bit'"},
         {point_with("address: 0, type: float32, bit: 1"), 3, "only with the types bit and uint16"},
         {point_with("address: 0, type: string"), 3, "needs the key 'length'"},
         {point_with("address: 0, length: 4"), 3, "only with type string"},
         {source_with("type: modbus-rtu\n    device: x\n    devices: [{name: d, unit: 248, points: [{name: p, address: "
                      "0}]}]"),
          5, "expected 1 to 247"}});
}

TEST_CASE("environment references that lead nowhere", "[config]") {
  ::unsetenv("HOLDFAST_TEST_NONE");
  const std::string huge(3000, 'x');
  ::setenv("HOLDFAST_TEST_HUGE", huge.c_str(), 1);
  std::string many;
  for (int i = 0; i < 100; ++i)
    many += "${HOLDFAST_TEST_HUGE}";
  check({{"\nrun_directory: a${HOLDFAST_TEST_NONE}", 2, "environment variable HOLDFAST_TEST_NONE is not set"},
         {"run_directory: a${HOLDFAST", 1, "'${' without '}'"},
         {"run_directory: a${1X}", 1, "no environment reference"},
         {"run_directory: a${}", 1, "no environment reference"}});
  check({{"run_directory: " + many, 1, "longer than 64KiB"}});
  check({{"health: {interval: \"${HOLDFAST_TEST_NONE}\"}", 1, "is not set"},
         {"sources:\n  - {name: s, type: '${HOLDFAST_TEST_NONE}', baud: 1}", 2, "is not set"},
         {"log: ${HOLDFAST_TEST_NONE}", 1, "is not set"},
         {"links: ${HOLDFAST_TEST_NONE}", 1, "is not set"},
         {"watchdog: {services: ['${HOLDFAST_TEST_NONE}']}", 1, "is not set"}});
}
