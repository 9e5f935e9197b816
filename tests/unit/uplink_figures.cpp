// What the metrics of a link say.

#include "services/uplink/link_figures.hpp"
#include "services/uplink/link_watch.hpp"

#include "holdfast/v1/events.pb.h"

#include <catch2/catch.hpp>

#include <map>

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

/// What a reader of the metrics sees: "name" or "name state" and the value.
std::map<std::string, double> seen(const metrics& m) {
  v1::Metrics all;
  m.snapshot(all);
  std::map<std::string, double> out;
  for (auto& each : all.metrics()) {
    auto name = each.name().substr(std::string("holdfast_link_").size());
    for (auto& label : each.labels())
      if (label.name() == "state")
        name += " " + label.value();
      else
        CHECK((label.name() == "link" && label.value() == "5g"));
    out[name] = each.value();
  }
  return out;
}

/// Names of the states whose series are 1.
std::vector<std::string> present(const std::map<std::string, double>& figures, const std::string& of) {
  std::vector<std::string> out;
  for (auto& [name, value] : figures)
    if (name.starts_with(of + " ") && value != 0)
      out.push_back(name.substr(of.size() + 1));
  return out;
}

using states = std::vector<std::string>;

} // namespace

TEST_CASE("a link's metrics have one state each, and what the watch measured", "[uplink]") {
  metrics m;
  uplink::link_figures figures(m, "5g");
  uplink::link_watch w{config::link{}};
  auto now = link::time_point{1h};
  figures.show(w, 0, now);
  CHECK(present(seen(m), "health") == states{std::string(to_string(w.health(now)))});
  CHECK(present(seen(m), "breaker") == states{"closed"});
  w.connecting(now);
  w.opened(now);
  for (std::uint64_t n = 1; n <= 50; ++n) {
    w.sent("telemetry", n, 1000, false, now);
    now += 4ms;
    w.answered("telemetry", n, n, now);
  }
  figures.show(w, 0, now);
  CHECK(present(seen(m), "health") == states{"up"});
  CHECK(seen(m)["round_trip_seconds"] == Approx(0.004).epsilon(0.01));
  CHECK(seen(m)["loss_ratio"] == 0);
  w.kernel(false, true, now);
  figures.show(w, 0, now);
  CHECK(present(seen(m), "health") == states{"down"});
}

TEST_CASE("a link's counters go on when a new session's watch begins at 0", "[uplink]") {
  metrics m;
  for (std::uint64_t knocks : {3U, 2U}) {  // two lives of SESSION
    uplink::link_figures figures(m, "5g");
    uplink::link_watch w{config::link{}};
    auto now = link::time_point{1h};
    for (int n = 0; n < 5; ++n) {
      w.connecting(now);
      w.closed("refused", true, now);
      now += 100ms;
    }
    figures.show(w, knocks - 1, now);
    figures.show(w, knocks, now);
    CHECK(present(seen(m), "breaker") == states{"open"});
  }
  CHECK(seen(m)["knocks_total"] == 5);
  CHECK(seen(m)["breaker_openings_total"] == 2);
}
