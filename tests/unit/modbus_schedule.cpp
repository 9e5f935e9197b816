// What is asked when: rate, stalls, fairness, the breaker.

#include "services/acquisition/modbus/schedule.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace holdfast;
using namespace holdfast::acquisition::modbus;
using namespace std::chrono_literals;

namespace {

using time_point = schedule::time_point;

config::modbus_device device(std::chrono::milliseconds period, unsigned groups = 1) {
  config::modbus_device d;
  d.period = period;
  d.breaker_failures = 3;
  d.breaker_pause = 5s;
  for (unsigned i = 0; i != groups; ++i) {
    config::modbus_point p;
    p.address = static_cast<std::uint16_t>(i * 100);
    d.points.push_back(p);
  }
  return d;
}

const time_point start{1h};

/// Answers everything, each request taking `cost`, until `end`; requests by device.
std::map<std::size_t, int> run(schedule& s, time_point& now, time_point end, std::chrono::milliseconds cost) {
  std::map<std::size_t, int> out;
  while (now < end) {
    if (auto task = s.take(now)) {
      ++out[task->device];
      now += cost;
      s.answered();
    } else {
      now = std::min(end, s.next_due());
    }
  }
  return out;
}

} // namespace

TEST_CASE("modbus schedule: a fixed rate without drift", "[modbus]") {
  const std::vector<config::modbus_device> devices{device(100ms)};
  schedule s(devices, start);
  auto now = start;
  for (int i = 0; i != 1000; ++i) {
    const auto task = s.take(now);
    REQUIRE(task);
    CHECK(task->slot == start + i * 100ms);
    CHECK(task->missed == 0);
    s.answered();
    CHECK_FALSE(s.take(now + 1ms));
    now = s.next_due() + (i % 7) * 1ms; // served late, differently each time
  }
}

TEST_CASE("modbus schedule: a stall is counted and not caught up", "[modbus]") {
  const std::vector<config::modbus_device> devices{device(100ms)};
  schedule s(devices, start);
  s.take(start);
  s.answered();
  const auto task = s.take(start + 1050ms);
  REQUIRE(task);
  CHECK(task->missed == 9); // 100 ... 900; that of 1000 is served now
  CHECK(task->slot == start + 1000ms);
  s.answered();
  CHECK(s.next_due() == start + 1100ms);
  CHECK_FALSE(s.take(start + 1060ms));
}

TEST_CASE("modbus schedule: an overloaded bus is shared evenly between devices", "[modbus]") {
  const std::vector<config::modbus_device> devices{device(100ms, 10), device(100ms), device(100ms)};
  schedule s(devices, start);
  auto now = start;
  auto served = run(s, now, start + 10s, 50ms); // asks for 120 requests a second, has 20
  CHECK(served[1] >= 66);
  CHECK(served[2] >= 66);
  CHECK(served[0] >= 66);
}

TEST_CASE("modbus schedule: a dead device costs its timeout once per pause", "[modbus]") {
  const std::vector<config::modbus_device> devices{device(100ms), device(100ms)};
  schedule s(devices, start);
  auto now = start;
  int dead = 0;
  int alive = 0;
  bool offline = false;
  while (now < start + 60s) {
    const auto task = s.take(now);
    if (!task) {
      now = s.next_due();
    } else if (task->device == 0) {
      ++dead;
      now += 500ms;
      offline = s.silent(now) || offline;
    } else {
      ++alive;
      now += 5ms;
      s.answered();
    }
  }
  CHECK(offline);
  CHECK(s.state(0) == device_state::offline);
  CHECK(s.state(1) == device_state::online);
  CHECK(dead >= 3 + 9);
  CHECK(dead <= 3 + 11);
  CHECK(alive >= 600 - dead * 5 - 5);
}

TEST_CASE("modbus schedule: one change of state per fall and per return, nothing missed meanwhile", "[modbus]") {
  const std::vector<config::modbus_device> devices{device(1s)};
  schedule s(devices, start);
  auto now = start;
  std::vector<bool> changes;
  for (int i = 0; i != 5; ++i) {
    now = std::max(now, s.next_due());
    REQUIRE(s.take(now));
    changes.push_back(s.silent(now));
  }
  CHECK(changes == std::vector<bool>{false, false, true, false, false});
  CHECK_FALSE(s.take(now + 4900ms));
  const auto task = s.take(now + 5s);
  REQUIRE(task);
  CHECK(task->missed == 0);
  CHECK(s.answered());
  CHECK(s.state(0) == device_state::online);
  CHECK(s.next_due() <= now + 6s);
}

TEST_CASE("modbus schedule: a silent device rests while others are asked", "[modbus]") {
  const std::vector<config::modbus_device> devices{device(100ms), device(100ms)};
  schedule s(devices, start);
  REQUIRE(s.take(start)->device == 0);
  s.silent(start + 50ms, 500ms);
  REQUIRE(s.take(start + 50ms)->device == 1);
  s.answered();
  for (auto now = start + 100ms; now < start + 550ms; now += 100ms) {
    REQUIRE(s.take(now)->device == 1);
    s.answered();
  }
  CHECK(s.take(start + 550ms)->device == 0);
}

TEST_CASE("modbus schedule: a refused group is asked in parts, a refused point rarely", "[modbus]") {
  auto d = device(1s);
  d.points.push_back(d.points.front());
  d.points.back().address = 1;
  const std::vector<config::modbus_device> devices{d};
  schedule s(devices, start);
  REQUIRE(s.take(start)->group->points.size() == 2);
  CHECK(s.answered()); // it lives
  CHECK(s.refused());
  auto now = start + 10ms;
  auto task = s.take(now);
  REQUIRE(task);
  CHECK(task->slot == start);
  CHECK(task->missed == 0);
  CHECK(task->group->points == std::vector<std::size_t>{0});
  s.answered();
  task = s.take(now);
  REQUIRE(task);
  CHECK(task->group->points == std::vector<std::size_t>{1});
  s.answered();
  CHECK_FALSE(s.refused());
  int good = 0;
  int wrong = 0;
  while ((now = s.next_due()) < start + 120500ms) {
    task = s.take(now);
    const bool refused = task->group->points.front() == 1;
    ++(refused ? wrong : good);
    s.answered();
    if (refused)
      s.refused();
  }
  CHECK(good == 120);
  CHECK(wrong == 2);
}

TEST_CASE("modbus schedule: a lost bus takes all devices down once and tries all when it is back", "[modbus]") {
  const std::vector<config::modbus_device> devices{device(1s), device(1s)};
  schedule s(devices, start);
  CHECK(s.bus_lost() == std::vector<std::size_t>{0, 1});
  CHECK(s.bus_lost().empty());
  const auto now = start + 100s;
  s.bus_back(now);
  for (int i = 0; i != 2; ++i) {
    const auto task = s.take(now);
    REQUIRE(task);
    CHECK(task->missed == 0);
    CHECK(s.answered());
  }
  CHECK_FALSE(s.take(now));
}
