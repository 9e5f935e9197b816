// What cannot be delivered, and links that cannot do what they are for.

#include "config_wrong.hpp"

using namespace config_test;

TEST_CASE("more classes than the store's file has room for", "[config]") {
  std::string text = "destinations: [{name: d}]\n" + link_to("d") + "classes:\n";
  for (int i = 0; i < 200; ++i)
    text += "  - {name: c" + std::to_string(i) + "}\n";
  CHECK(load_text(text, "t").problems.empty());
  const auto problems = load_text(text + "  - {name: last}\n", "t").problems;
  REQUIRE(problems.size() == 1);
  CHECK(problems.front().text.find("201 classes: the store has room for 200") != std::string::npos);
}

TEST_CASE("a class that no destination wants", "[config]") {
  const std::string text = "class 'x' is wanted by no destination; its records would fill the store";
  const std::string signals = "type: simulator\n    signals: [{name: s}]";
  check({{"classes:\n  - {name: x}\n  - {name: y}\ndestinations:\n  - {name: d, classes: [y]}\n" + link_to("d"), 2, text},
         {"destinations:\n  - {name: d, classes: [critical]}\n" + source_with(signals) + link_to("d"), 4,
          "class 'telemetry' is wanted by no destination"},
         {"destinations:\n  - {name: d, classes: [critical]}\n" + source_with("class: bulk\n    " + signals) + link_to("d"),
          5, "class 'bulk' is wanted"}});
  for (const auto* fine : {"  - {name: d, classes: [critical]}\n  - {name: e, classes: [telemetry]}\n",
                           "  - {name: d, classes: [critical]}\n  - {name: e}\n"})
    CHECK(load_text(std::string("destinations:\n") + fine + source_with(signals) + link_to("d")
                      + "  - {name: m, destination: e, connect: 'h:1'}\n",
                    "t").problems.empty());
  CHECK(load_text(source_with(signals), "t").problems.empty());
}

TEST_CASE("a destination that no link leads to", "[config]") {
  const std::string text = "no link leads to destination 'd'; its records would fill the store";
  check({{"destinations:\n  - {name: d}\n", 2, text},
         {"destinations:\n  - name: e\n  - name: d\n    classes: [bulk]\n" + link_to("e"), 3, text},
         {"destinations: [{name: d}]\nclasses:\n  - name: a\n  - {name: b, links: [l]}\nlinks:\n"
          "  - {name: l, destination: d, connect: 'h:1', classes: [a]}\n", 4, "class 'b' has no link to destination 'd'"},
         {"destinations:\n  - {name: d}\nlinks:\n  - {name: l, destination: d, connect: 'h:1', classes: [critical, bulk]}\n",
          2, "class 'telemetry' has no link to destination 'd'"}});
}

TEST_CASE("what a link is bound to", "[config]") {
  for (const auto* wrong : {"nonsense", "1.2.3.4:80", "10.0.0.5/24", "10.0.0", "10.0.0.256", "'fe80::1%'", "'::1:'", "''"})
    check({{link_with(std::string("source_address: ") + wrong), 4, "source_address: expected an IP address without port"}});
  for (const auto* wrong : {"''", "abcdefghijklmnop", "a/b", "'eth0:1'", "'a b'", ".", ".."})
    check({{link_with(std::string("interface: ") + wrong), 4, "interface: expected the name of a network interface"}});
  const auto to = [](const std::string& host, const std::string& own) {
    return "destinations: [{name: d}]\nlinks:\n  - name: l\n    destination: d\n    connect: '" + host
           + ":1'\n    source_address: '" + own + "'\n";
  };
  check({{to("10.0.0.1", "fd00::1"), 6, "source_address is of IPv6, and 10.0.0.1 is not"},
         {to("[fd00::1]", "10.0.0.1"), 6, "source_address is of IPv4, and fd00::1 is not"}});
  for (const auto& fine : {to("10.0.0.1", "10.0.0.2"), to("[fd00::1]", "fe80::2%eth0"), to("h", "::ffff:1.2.3.4"),
                           to("h", "10.0.0.2"), link_with("interface: abcdefghijklmno")})
    CHECK(load_text(fine, "t").problems.empty());
}

TEST_CASE("what a link cannot do", "[config]") {
  check({{link_with("bandwidth: 1"), 4, "bandwidth: at least 1KiB per second, or 0"},
         {link_with("bandwidth: 1023"), 4, "bandwidth: at least 1KiB"},
         {link_with("window: 1MiB") + "classes:\n  - name: c\n    duplicate: true\n", 7,
          "duplicate: only one link may carry class 'c'"},
         {link_with("window: 1MiB") + "  - {name: m, destination: d, connect: 'h:1'}\nclasses:\n  - name: c\n"
            "    links: [m]\n    duplicate: true\n", 9, "duplicate: only one link may carry class 'c'"}});
  const std::string two = "  - {name: m, destination: d, connect: 'h:1'}\nclasses: [{name: c, duplicate: true}]\n";
  CHECK(load_text(link_with("bandwidth: 1KiB") + two, "t").problems.empty());
  CHECK(load_text(link_with("bandwidth: 0"), "t").problems.empty());
  CHECK(load_text("classes: [{name: c, duplicate: true}]", "t").problems.empty());
}

TEST_CASE("a byte budget that can never carry what it is for", "[config]") {
  const auto site = [](const std::string& rule, const std::string& limits, const std::string& batch = "") {
    return "classes: [{name: telemetry, when_spent: " + rule + "}]\ndestinations: [{name: d}]\nlinks:\n"
           + "  - {name: l, destination: d, connect: 'h:1',\n     " + limits + "}\n"
           + source_with("type: udp-server\n    listen: '[::]:1'\n    max_datagram: 4KiB" + batch);
  };
  // 256 KiB and the datagram that crosses it, 4 KiB for its stream and times; an eighth more, 320 and 4096 on the wire.
  const std::string text = " is too small for the largest batch of source 's', 304448 bytes on the wire; its batch size is "
                           "256KiB";
  check({{site("wait", "budget_day: 150KiB"), 5, "budget_day" + text},
         {site("wait", "budget_month: 1"), 5, "budget_month" + text},
         {site("wait", "budget_month: 320000"), 5, "budget_month" + text},  // 95 % of it
         {site("wait", "budget_month: 1MiB, budget_day: 2MiB"), 5, "budget_month is smaller than budget_day"}});
  for (const auto& fine : {site("wait", "budget_day: 330000"), site("use-reserve", "budget_day: 320000"),
                           site("ignore", "budget_day: 1"), site("wait", "budget_day: 150KiB", "\n    batch: {size: 64KiB}"),
                           site("wait", "budget_month: 2MiB, budget_day: 1MiB")})
    CHECK(load_text(fine, "t").problems.empty());
}
