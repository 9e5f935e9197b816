#include "services/health/health.hpp"

#include <algorithm>

namespace holdfast::health {

namespace {

std::vector<std::string> expected_of(const config::gateway& g) {
  if (!g.watchdog.services.empty())
    return g.watchdog.services;  // the integrator's own list
  std::vector<std::string> out;
  // The centre's configuration may describe a collector and nothing else.
  if (!g.collector || !g.sources.empty() || !g.links.empty()) {
    out.push_back("store");
    for (auto& l : g.links)
      out.push_back("uplink-" + l.name);
    out.push_back("acquisition");
  }
  if (g.collector)
    out.push_back("collector");
  return out;
}

} // namespace

std::vector<fleet::member> members_of(const config::gateway& g) {
  std::vector<fleet::member> out;
  const auto add = [&](const std::string& name, bool expected, bool self) {
    if (std::none_of(out.begin(), out.end(), [&](auto& m) { return m.name == name; }))
      out.push_back({name, expected, self});
  };
  auto expected = expected_of(g);
  std::erase(expected, "health");
  for (auto& name : expected)
    add(name, true, false);
  add("health", true, true);
  add("watchdog", false, false);
  for (auto& name : expected)
    add("watchdog-" + name, false, false);
  add("watchdog-health", false, false);
  return out;
}

} // namespace holdfast::health
