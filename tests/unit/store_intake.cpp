// What keeps strangers on the bus from filling the store's memory or its log.

#include "common/telemetry/sparse.hpp"
#include "services/store/producer_table.hpp"
#include "services/store/waiting_room.hpp"

#include <catch2/catch.hpp>

using namespace holdfast;
using namespace holdfast::store;
using namespace std::chrono_literals;

TEST_CASE("a seat is free again when its message is gone, whatever became of it", "[store]") {
  waiting_room room(10 * waiting_room::least);
  auto first = room.take(0);
  auto copy = first;
  CHECK(room.used() == waiting_room::least);
  first.reset();
  CHECK(room.used() == waiting_room::least);
  {
    const auto large = room.take(9 * waiting_room::least);
    CHECK(room.full());
  }
  CHECK_FALSE(room.full());
  copy.reset();
  CHECK(room.used() == 0);
  waiting_room::seat late;
  {
    waiting_room gone(1);
    late = gone.take(5);
  }
  late.reset();  // the room may go first
}

TEST_CASE("producers that have stored nothing give way to new ones, others do not", "[store]") {
  producer_table table;
  table.load("old", {.record_class = "telemetry", .committed = 5});
  for (std::size_t n = 0; n < 3 * producer_table::most; ++n) {
    const auto name = "rogue-" + std::to_string(n);
    REQUIRE(table.room_for(name));
    table.hello(name, 1, "telemetry", "peer");
    REQUIRE(table.rows().size() <= producer_table::most);
  }
  CHECK(table.find("old") != nullptr);
  CHECK(table.offer("rogue-0", 1, 1) == producer_table::verdict::unknown_session);  // it says hello again
  producer_table full;
  for (std::size_t n = 0; n < producer_table::most; ++n)
    full.load(std::to_string(n), {.record_class = "telemetry", .committed = 1});
  CHECK_FALSE(full.room_for("new"));
  CHECK(full.room_for("0"));
}

TEST_CASE("of lines that others provoke so many go through in a second, and tell how many there were", "[log]") {
  log::sparse lines(2);
  const auto begin = log::sparse::clock::time_point{} + 100s;
  CHECK(lines.due(begin) == 1);
  CHECK(lines.due(begin) == 1);
  for (int n = 0; n < 50; ++n)
    CHECK(lines.due(begin + 999ms) == 0);
  CHECK(lines.due(begin + 1s) == 51);
  CHECK(lines.due(begin + 1s) == 1);
  CHECK(lines.due(begin + 1s) == 0);
}
