// How long an idle link that was bad is called so, by probes alone: the figures of the README.

#include "tests/unit/link_world.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <string>

using namespace holdfast::link;
using namespace holdfast::link::test;
using namespace std::chrono_literals;

namespace {

/// A link of p under load, until it is degraded by loss, or by a tripled round trip; then idle and bad for so long.
world made_bad(const profile& p, bool loss, std::uint64_t seed, clock::duration bad_for) {
  world w(p, seed);
  w.interval = 5ms;
  w.loss = 0.0005;
  w.start_sending();
  w.run(w.now + 2min);
  (loss ? w.loss = 0.05 : w.up.slower = w.down.slower = 3);
  for (const auto end = w.now + 5min; w.m.health() != health::degraded && w.now < end;)
    w.run(w.now + 100ms);
  w.stop_sending();
  w.run(w.now + bad_for);
  w.loss = 0;
  w.up.slower = w.down.slower = 1;
  return w;
}

} // namespace

TEST_CASE("an idle link leaves degraded by its probes, in a bounded time", "[link][link-figures]") {
  // After a short brownout, and after one in which what the budget saved up was spent.
  const std::chrono::seconds bound[2][3] = {{70s, 75s, 240s}, {70s, 130s, 600s}};
  std::string table = "a degraded link that is idle and well again: s until it is called so\n";
  for (const bool lasting : {false, true}) {
    int i = 0;
    for (const auto& p : {fibre(), five_g(), satellite()}) {
      for (const bool loss : {true, false}) {
        std::vector<clock::duration> took;
        for (std::uint64_t seed = 0; seed < std::max(1U, 20 / share); ++seed) {
          auto w = made_bad(p, loss, 50 + seed, lasting ? 1h : 10s);
          const auto well = w.now;
          REQUIRE(w.m.health() == health::degraded);
          // The world tells of losses of data only: each answered probe is a packet that was not lost.
          for (auto seen = w.m.proofs(); w.m.health() != health::up && w.now < well + 1h; seen = w.m.proofs()) {
            w.run(w.now + 50ms);
            w.m.packets(w.m.proofs() - seen, 0, w.now);
          }
          took.push_back(w.now - well);
        }
        table += fmt::format("{:<10} {:<14} {:<8} p50 {:4.0f} max {:4.0f}\n", p.name,
                             loss ? "5 % loss" : "round trip x3", lasting ? "1 h" : "10 s", quantile(took, 0.5) / 1e3, quantile(took, 1) / 1e3);
        CHECK(quantile(took, 1) / 1e3 <= static_cast<double>(bound[lasting][i].count()));
      }
      ++i;
    }
  }
  WARN(table);
}
