#include "services/store/retry_pace.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using holdfast::store::retry_pace;

TEST_CASE("what ought to help at once is tried ever more rarely", "[store]") {
  retry_pace p;
  auto now = retry_pace::clock::time_point{} + 1h;
  int tries = 0;
  for (const auto end = now + 10min; now < end; now += 10ms) {
    if (!p.due(now))
      continue;
    p.tried(now);
    ++tries;
  }
  CHECK(tries == 15);  // at 0, 1, 3, 7, 15, 31, 63 s and then each minute
  CHECK(p.due(now + 1h));
  p.tried(now + 1h);
  CHECK(p.due(now + 1h + 1s));
}
