// Which points share a request, and how a refused request comes apart.

#include "services/acquisition/modbus/plan.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace holdfast;
using namespace holdfast::acquisition::modbus;
using namespace std::chrono_literals;
using config::register_table;
using config::register_type;

namespace {

config::modbus_point point(unsigned address, register_table table = register_table::holding,
                           register_type type = register_type::uint16) {
  config::modbus_point p;
  p.table = table;
  p.address = static_cast<std::uint16_t>(address);
  p.type = type;
  return p;
}

config::modbus_device device(std::vector<config::modbus_point> points) {
  config::modbus_device d;
  d.points = std::move(points);
  return d;
}

/// Splits what covers a wrong address until nothing that does has more than one point.
std::vector<request_group> settled(const config::modbus_device& d, unsigned wrong) {
  auto groups = plan(d);
  const auto bad = [&](auto& g) {
    return g.address <= wrong && wrong < static_cast<unsigned>(g.address) + g.count && g.points.size() > 1;
  };
  for (auto it = std::find_if(groups.begin(), groups.end(), bad); it != groups.end();
       it = std::find_if(groups.begin(), groups.end(), bad)) {
    const auto parts = split(*it, d);
    REQUIRE(parts.size() > 1);
    groups.erase(it);
    groups.insert(groups.end(), parts.begin(), parts.end());
  }
  return groups;
}

} // namespace

TEST_CASE("modbus plan: neighbours and small holes share a request", "[modbus]") {
  const auto d = device({point(19), point(10, register_table::holding, register_type::float32), point(0), point(0)});
  const auto groups = plan(d);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].address == 0);
  CHECK(groups[0].count == 1);
  CHECK(groups[0].points == std::vector<std::size_t>{2, 3});
  CHECK(groups[1].address == 10);
  CHECK(groups[1].count == 10);
  CHECK(groups[1].points == std::vector<std::size_t>{1, 0});
}

TEST_CASE("modbus plan: a hole of eight registers is read along, of nine not", "[modbus]") {
  CHECK(plan(device({point(0), point(9)})).size() == 1);
  CHECK(plan(device({point(0), point(10)})).size() == 2);
  CHECK(plan(device({point(0, register_table::coil), point(129, register_table::coil)})).size() == 1);
  CHECK(plan(device({point(0, register_table::coil), point(130, register_table::coil)})).size() == 2);
}

TEST_CASE("modbus plan: tables and periods are apart", "[modbus]") {
  auto fast = point(1);
  fast.period = 100ms;
  const auto groups = plan(device({point(0), fast, point(0, register_table::input), point(2)}));
  REQUIRE(groups.size() == 3);
  CHECK(std::count_if(groups.begin(), groups.end(), [](auto& g) { return g.period == 100ms; }) == 1);
}

TEST_CASE("modbus plan: no request is larger than the protocol allows", "[modbus]") {
  std::vector<config::modbus_point> points;
  for (unsigned i = 0; i < 65536; i += 2)
    points.push_back(point(i, register_table::input, register_type::int32));
  for (unsigned i = 0; i != 65536; ++i)
    points.push_back(point(i, register_table::coil, register_type::bit));
  const auto d = device(std::move(points));
  std::size_t planned = 0;
  for (const auto& g : plan(d)) {
    CHECK(g.count <= (g.table == register_table::coil ? max_bits : max_registers));
    CHECK(static_cast<unsigned>(g.address) + g.count <= 65536);
    planned += g.points.size();
  }
  CHECK(planned == d.points.size());
}

TEST_CASE("modbus plan: a refused request splits at its largest hole, then in halves", "[modbus]") {
  const auto d = device({point(0), point(1), point(4), point(10), point(11)});
  const auto groups = plan(d);
  REQUIRE(groups.size() == 1);
  const auto parts = split(groups[0], d);
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].points == std::vector<std::size_t>{0, 1, 2});
  CHECK(parts[1].address == 10);
  CHECK(parts[1].count == 2);
  CHECK(split(parts[1], d).size() == 2);
  CHECK(split(split(parts[1], d)[0], d).size() == 1);
}

TEST_CASE("modbus plan: a wrong address ends up alone, its neighbours in few requests", "[modbus]") {
  std::vector<config::modbus_point> points;
  for (unsigned i = 0; i != 100; ++i)
    points.push_back(point(i));
  const auto d = device(points);
  for (unsigned wrong : {0U, 37U, 99U}) {
    const auto groups = settled(d, wrong);
    std::size_t kept = 0;
    for (const auto& g : groups)
      kept += g.points.size();
    CHECK(kept == 100);
    CHECK(groups.size() <= 8);
  }
}
