#include "services/store/drain_forecast.hpp"

#include <catch2/catch.hpp>

using namespace holdfast;
using namespace std::chrono_literals;

TEST_CASE("the drain forecast follows the rate at which a backlog shrinks", "[store]") {
  store::drain_forecast f;
  auto now = store::drain_forecast::clock::time_point{} + 1h;
  CHECK(f.seconds() == 0);
  std::uint64_t backlog = 100'000;
  for (int i = 0; i < 120; ++i, backlog -= 500, now += 500ms)
    f.sample(backlog, now);
  CHECK(f.seconds() == Approx(40).epsilon(0.05));
  for (int i = 0; i < 120; ++i, now += 500ms)
    f.sample(backlog += 100, now);
  CHECK(f.seconds() == -1);
  f.sample(0, now);
  CHECK(f.seconds() == 0);
}
