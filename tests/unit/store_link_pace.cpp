#include "services/store/dispatch_plan.hpp"

#include <catch2/catch.hpp>

#include <deque>

using namespace holdfast::store;
using namespace std::chrono_literals;

namespace {

using clock_type = link_pace::clock;

/// A link of a given rate and delay that carries backlog as its pace allows, for some time; returns the longest wait of
/// a byte behind others, in milliseconds, over the last 40 of 60 s.
double longest_wait(double bytes_per_second, std::chrono::milliseconds delay, std::uint64_t batch, double& used) {
  link_pace pace;
  struct sent { link_pace::mark mark; clock_type::time_point answered; };
  std::deque<sent> flight;
  auto now = clock_type::time_point{} + 1h;
  const auto end = now + 60s;
  auto free_at = now;
  std::uint64_t in_flight = 0;
  std::uint64_t carried = 0;
  double longest = 0;
  const auto service = std::chrono::duration_cast<clock_type::duration>(
    std::chrono::duration<double>(static_cast<double>(batch) / bytes_per_second));
  while (now < end) {
    while (in_flight == 0 || in_flight < pace.backlog_limit()) {
      free_at = std::max(free_at, now) + service;
      if (now > end - 40s)
        longest = std::max(longest, std::chrono::duration<double, std::milli>(free_at - now).count());
      flight.push_back({pace.leased(batch, now), free_at + delay});
      in_flight += batch;
    }
    now = flight.front().answered;
    pace.acknowledged(flight.front().mark, now);
    flight.pop_front();
    in_flight -= batch;
    carried += now > end - 40s ? batch : 0;
  }
  used = static_cast<double>(carried) / 40 / bytes_per_second;
  return longest;
}

} // namespace

TEST_CASE("the backlog fills a link but never makes live records wait long behind it", "[store]") {
  struct link { const char* name; double rate; std::chrono::milliseconds delay; std::uint64_t batch; double wait_ms; };
  const link links[] = {{"fibre", 100e6, 5ms, 256 * 1024, 150},
                        {"5g", 2.5e6, 40ms, 64 * 1024, 250},
                        {"satellite", 250e3, 600ms, 16 * 1024, 900}};
  for (auto& l : links) {
    double used = 0;
    const auto wait = longest_wait(l.rate, l.delay, l.batch, used);
    INFO(l.name << ": wait " << wait << " ms, " << used * 100 << " % of the rate");
    CHECK(wait < l.wait_ms);
    CHECK(used > 0.9);
  }
}

TEST_CASE("a link that became slow is found out within its memory", "[store]") {
  link_pace pace;
  auto now = clock_type::time_point{} + 1h;
  const auto carry = [&](std::uint64_t bytes, std::chrono::milliseconds took) {
    const auto m = pace.leased(bytes, now);
    now += took;
    pace.acknowledged(m, now);
  };
  for (int i = 0; i < 100; ++i)
    carry(100'000, 1ms);
  CHECK(pace.backlog_limit() > 1'000'000);
  const auto slow_since = now;
  while (now - slow_since < link_pace::rate_memory + 1s)
    carry(100'000, 200ms);
  CHECK(pace.backlog_limit() < 300'000);
}

TEST_CASE("live records pass a backlog that has used up its part of the link", "[store]") {
  dispatch_plan p({{"telemetry", 100}}, 50);
  const auto now = clock_type::time_point{} + 1h;
  p.add_backlog("telemetry", {1, 1000});
  p.link_ready("a", 8 << 20);
  std::uint64_t backlog_bytes = 0;
  while (auto o = p.next()) {
    p.leased(*o, {o->todo.first, o->todo.first}, 64 * 1024, now);
    backlog_bytes += 64 * 1024;
  }
  CHECK(backlog_bytes == link_pace::first_bytes);  // though the window would take 8 MiB
  p.stored("telemetry", {1001, 1001});
  const auto o = p.next();
  REQUIRE(o);
  CHECK(o->todo.first == 1001);
  CHECK(o->how == dispatch_plan::kind::live);
}
