#include "services/watchdog/control.hpp"
#include "services/watchdog/service_table.hpp"

#include "holdfast/v1/control.pb.h"

#include <catch2/catch.hpp>

using namespace holdfast;
using namespace holdfast::watchdog;

namespace {

config::gateway gateway() {
  config::gateway g;
  g.path = "/etc/holdfast/holdfast.yaml";
  g.links.resize(2);
  g.links[0].name = "main";
  g.links[1].name = "5g";
  return g;
}

} // namespace

TEST_CASE("the usual services of a gateway, in start order", "[watchdog][services]") {
  const auto table = service_table(gateway(), "", "/usr/bin");
  CHECK(names(table) == "store, uplink-main, uplink-5g, acquisition, health");
  using words = std::vector<std::string>;
  CHECK(table[0].command == words{"/usr/bin/holdfast-store", "--config", "/etc/holdfast/holdfast.yaml"});
  CHECK(table[2].command
        == words{"/usr/bin/holdfast-uplink", "--link", "5g", "--config", "/etc/holdfast/holdfast.yaml"});
  CHECK(find_service(table, "uplink-5g") == std::size_t{2});
  CHECK_FALSE(find_service(table, "collector"));
}

TEST_CASE("a list in the file rules, and only it starts a collector", "[watchdog][services]") {
  auto g = gateway();
  g.watchdog.services = {"collector", "health"};
  CHECK(names(service_table(g, "", "/b")) == "collector, health");
}

TEST_CASE("a single service, listed or not", "[watchdog][services]") {
  auto g = gateway();
  g.watchdog.services = {"store"};
  CHECK(names(service_table(g, "uplink-main", "/b")) == "uplink-main");
}

TEST_CASE("unknown and doubled services are refused with the names there are", "[watchdog][services]") {
  auto g = gateway();
  CHECK_THROWS_WITH(service_table(g, "uplink-sat", "/b"),
                    "failed to find service 'uplink-sat': known are store, uplink-main, uplink-5g, acquisition, health, "
                    "collector");
  CHECK_THROWS(service_table(g, "../../bin/sh", "/b"));
  CHECK_THROWS(service_table(g, "watchdog", "/b"));
  g.watchdog.services = {"store", "store"};
  CHECK_THROWS_WITH(service_table(g, "", "/b"), "failed to list services: 'store' is there twice");
}

TEST_CASE("services run in another directory get the file's full path", "[watchdog][services]") {
  auto g = gateway();
  g.path = "site.yaml";
  CHECK(service_table(g, "store", "/b")[0].command.back().front() == '/');
}

TEST_CASE("an order to restart reaches the service it names, or is told why not", "[watchdog][services]") {
  const auto table = service_table(gateway(), "", "/b");
  v1::ControlRequest request;
  v1::ControlReply reply;
  std::vector<std::size_t> ordered;
  const auto order = [&](std::size_t service) { ordered.push_back(service); };
  CHECK_FALSE(answer_restart(table, false, request, reply, order));  // another kind of request
  request.mutable_restart()->set_process("uplink-5g");
  CHECK(answer_restart(table, true, request, reply, order));
  CHECK(reply.error() == "failed to restart 'uplink-5g': the watchdog is stopping");
  CHECK_FALSE(reply.ok());
  CHECK(ordered.empty());
  reply.Clear();
  CHECK(answer_restart(table, false, request, reply, order));
  CHECK(reply.ok());
  CHECK(ordered == std::vector<std::size_t>{2});
  reply.Clear();
  request.mutable_restart()->set_process("uplink-sat");
  CHECK(answer_restart(table, false, request, reply, order));
  CHECK(reply.error() == "failed to restart 'uplink-sat': this watchdog guards " + names(table));
  CHECK_FALSE(reply.ok());
  CHECK(ordered.size() == 1);
}
