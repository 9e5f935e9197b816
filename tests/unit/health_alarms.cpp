#include "health_support.hpp"
#include "services/health/health.hpp"
#include "services/health/thresholds.hpp"

#include <catch2/catch.hpp>

using namespace health_test;
using namespace std::chrono_literals;

namespace {

struct told {
  std::vector<std::string> lines;
  health::alarm_book book{{}, 0ms, [this](auto& name, bool raised, auto&) { lines.push_back((raised ? "+" : "-") + name); }};
  std::vector<std::string> take() { return std::exchange(lines, {}); }
};
using lines = std::vector<std::string>;

health::proc::machine with_disk(std::uint64_t free) {
  health::proc::machine m;
  m.disk = health::proc::disk{"/data", 1000, free};
  return m;
}

} // namespace

TEST_CASE("health: disk alarm with hysteresis", "[health]") {
  told t;
  t.book.judge_machine(with_disk(99));
  CHECK(t.take() == lines{"+disk_space"});
  t.book.judge_machine(with_disk(50));
  t.book.judge_machine(with_disk(110));  // between the limits: stays
  CHECK(t.take().empty());
  t.book.judge_machine(with_disk(120));
  CHECK(t.take() == lines{"-disk_space"});
  t.book.judge_machine(with_disk(110));
  t.book.judge_machine(with_disk(100));
  CHECK(t.take().empty());
}

TEST_CASE("health: memory alarm with hysteresis", "[health]") {
  told t;
  health::proc::machine m;
  m.memory = health::proc::memory{1000, 60};
  t.book.judge_machine(m);
  CHECK(t.take().empty());
  m.memory->available_bytes = 49;
  t.book.judge_machine(m);
  CHECK(t.take() == lines{"+memory"});
  m.memory->available_bytes = 70;
  t.book.judge_machine(m);
  CHECK(t.take() == lines{"-memory"});
}

TEST_CASE("health: silence is an alarm, and over only after steady heartbeats", "[health]") {
  told t;
  health::fleet f("plant", "0", {{"store", true, false}, {"watchdog", false, false}});
  speaker store{"store"};
  const auto turn = [&](std::int64_t now) {
    f.turn(at(now));
    t.book.judge_presence(f.instances(), std::chrono::milliseconds(now));
    return t.take();
  };
  CHECK(turn(0).empty());
  CHECK(turn(9999).empty());
  CHECK(turn(10000) == lines{"+silent:store"});  // expected and never heard; the watchdog is not expected
  f.take(store.heartbeat(), at(11000));
  CHECK(turn(11000).empty());
  f.take(store.heartbeat(), at(13900));
  CHECK(turn(13900).empty());
  f.take(store.heartbeat(), at(14000));
  CHECK(turn(14000) == lines{"-silent:store"});
  CHECK(turn(16001) == lines{"+silent:store"});
}

TEST_CASE("health: the members follow from the configuration", "[health]") {
  const auto names = [](const config::gateway& g) {
    std::string out;
    for (auto& m : health::members_of(g))
      if (m.expected)
        out += m.name + " ";
    return out;
  };
  config::gateway g;
  g.links.emplace_back().name = "fibre";
  CHECK(names(g) == "store uplink-fibre acquisition health ");
  g.watchdog.services = {"store", "health", "uplink-fibre"};
  CHECK(names(g) == "store uplink-fibre health ");
  config::gateway centre;
  centre.collector = config::collector{};
  CHECK(names(centre) == "collector health ");
  CHECK(health::members_of(centre).size() == 5);  // and watchdog, watchdog-collector, watchdog-health
}
