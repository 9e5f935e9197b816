#include "common/actor/next_wake.hpp"

#include <catch2/catch.hpp>

#include <deque>

using holdfast::actor::next_wake;
using namespace std::chrono_literals;

namespace {

/// An actor that has something to do every 200 ms, on a clock of its own.
struct sleeper {
  next_wake next;
  next_wake::time_point now = next_wake::time_point{} + 1h, looked = now;
  std::deque<next_wake::time_point> timers;
  int looks = 0;
  std::size_t most = 0;

  void arm(next_wake::time_point due) {
    if (next.arm(std::max(due, now + 1ms)))
      timers.push_back(std::max(due, now + 1ms));
    most = std::max(most, timers.size());
  }
  void look() {
    next.woke(now);
    looked = now;
    ++looks;
    arm(now + 200ms);
  }
  void pass(std::chrono::milliseconds d) {
    now += d;
    for (auto n = timers.size(); n > 0; --n) {
      const auto due = timers.front();
      timers.pop_front();
      if (due <= now)
        look();
      else
        timers.push_back(due);
    }
  }
};

} // namespace

TEST_CASE("however often an actor is called, its moment comes", "[actor]") {
  const auto every = GENERATE(1ms, 3ms, 50ms, 150ms);
  sleeper s;
  s.look();
  for (auto t = 0ms; t < 10s; t += every) {
    s.pass(every);
    s.arm(s.looked + 200ms);  // something came in, and is over with
  }
  CHECK(s.looks >= 10s / (200ms + every));
  CHECK(s.looks <= 10s / 200ms + 2);
  CHECK(s.most == 1);
}

TEST_CASE("an earlier moment is armed beside a later one, a later one is not", "[actor]") {
  sleeper s;
  s.arm(s.now + 15min);
  s.arm(s.now + 20min);
  CHECK(s.timers.size() == 1);
  s.arm(s.now + 1s);
  CHECK(s.timers.size() == 2);
  s.pass(1s);
  CHECK(s.looks == 1);
}

TEST_CASE("one who looks often while a moment is far arms nothing more for it", "[actor]") {
  sleeper s;
  const auto far = s.now + 15min;
  s.arm(far);
  for (int i = 0; i < 1800; ++i) {  // twice a second
    s.now += 500ms;
    s.next.woke(s.now);
    if (s.now < far)
      s.arm(far);
  }
  CHECK(s.timers.size() == 1);
}
