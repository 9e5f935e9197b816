#pragma once

// A route supervisor on a clock of its own, and what it said.

#include "common/link/route_supervisor.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace route_test {

using namespace holdfast::link;
using namespace std::chrono_literals;

using type = route_supervisor::action::type;

inline std::vector<link_options> three_links() {
  return {{.name = "fibre", .priority = 10, .route = fibre().route, .damping = fibre().damping},
          {.name = "5g", .priority = 20, .route = five_g().route, .damping = five_g().damping},
          {.name = "sat", .priority = 30, .route = satellite().route, .damping = satellite().damping}};
}

/// A supervisor and its clock. Links that can carry answer one probe per second; carriers and trials deliver.
struct bench {
  route_supervisor s;
  time_point now = time_point{} + 1h;
  std::map<std::string, link_report> links;
  std::vector<std::string> events;  // "switched telemetry fibre>5g: why"
  std::vector<std::string> classes;
  bool delivering = true;

  explicit bench(std::vector<link_options> l = three_links(), std::vector<class_options> c = {{.name = "telemetry"}})
      : s(std::move(l), c) {
    for (auto& o : c)
      classes.push_back(o.name);
  }
  void act() {
    static const char* names[] = {"switched", "diverted", "returned", "release", "share"};
    for (const auto& a : s.take())
      events.push_back(std::string(names[static_cast<int>(a.what)]) + " " + a.record_class + " " + a.from + ">" + a.to
                       + ": " + a.cause);
  }
  void set(const std::string& link, health h, const std::string& cause = "") {
    auto& r = links[link];
    r.health = h;
    r.cause = cause;
    s.report(link, r, now);
    act();
  }
  void up(const std::string& link) { set(link, health::up, "session stands"); }
  void down(const std::string& link) { set(link, health::down, "silent"); }
  void pass(clock::duration d) {
    for (const auto end = now + d; now < end;) {
      now = std::min(end, now + 100ms);
      s.tick(now);
      for (auto& [name, r] : links)
        if (carries(r.health) && r.health != health::suspect && (now - time_point{}) % 1s == 0s) {
          ++r.proofs;
          s.report(name, r, now);
        }
      deliver();
      act();
    }
  }
  void deliver() {
    for (const auto& c : classes) {
      const auto route = s.route_of(c);
      for (auto& [name, r] : links)
        if (delivering && (holds(route.carriers, name) || route.trial == name)
            && (r.health == health::up || r.health == health::degraded))
          s.carried(name, c, now);
    }
  }
  static bool holds(const std::vector<std::string>& v, const std::string& n) {
    return std::find(v.begin(), v.end(), n) != v.end();
  }
  /// All links up and proved, traffic on fibre.
  bench& settled() {
    for (const auto* l : {"fibre", "5g", "sat"})
      up(l);
    pass(5min);
    REQUIRE(carriers() == "fibre");
    events.clear();
    return *this;
  }
  std::string carriers(const std::string& c = "telemetry") const {
    std::string out;
    for (const auto& l : s.route_of(c).carriers)
      out += (out.empty() ? "" : "+") + l;
    return out;
  }
  int count(const std::string& what) const {
    return static_cast<int>(std::count_if(events.begin(), events.end(),
                                          [&](const std::string& e) { return e.find(what) == 0; }));
  }
};

} // namespace route_test
