#include "common/core/greeting.hpp"

#include <catch2/catch.hpp>

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

struct silent_store {
  greeting g;
  greeting::clock::time_point now{1h};

  silent_store() { g.said(now); }
  /// Hellos in this time, looked for each millisecond.
  int hellos(std::chrono::milliseconds time) {
    int count = 0;
    for (const auto end = now + time; now < end;) {
      now += 1ms;
      if (!g.due(now))
        continue;
      g.said(now);
      ++count;
    }
    return count;
  }
};

} // namespace

TEST_CASE("a store that does not answer is greeted often for a second, then ever more rarely", "[core]") {
  silent_store s;
  CHECK(s.hellos(24ms) == 0);
  CHECK(s.hellos(1ms) == 1);
  CHECK(s.hellos(975ms) == 39);
  CHECK(s.g.wait() == 25ms);
  CHECK(s.hellos(1s) < 35);
  s.hellos(8s);
  CHECK(s.g.wait() > 240ms);
  s.hellos(1min);
  CHECK(s.g.wait() == 250ms);
  CHECK(s.hellos(1min) == 240);
}

TEST_CASE("an answer ends the greeting; the next one begins soon again", "[core]") {
  silent_store s;
  s.hellos(1min);
  CHECK(s.g.asking());
  s.g.over();
  CHECK_FALSE(s.g.asking());
  CHECK_FALSE(s.g.due(s.now + 1h));
  s.g.said(s.now);
  CHECK(s.g.wait() == 25ms);
  CHECK(s.hellos(1s) == 40);
}
