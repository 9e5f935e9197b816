// What a route_board begins with: its part of the configuration, and what earlier lives kept.

#include "services/store/route_board.hpp"

#include <algorithm>

namespace holdfast::store {

namespace {

bool lists(const std::vector<std::string>& v, const std::string& s) {
  return v.empty() || std::find(v.begin(), v.end(), s) != v.end();
}

std::vector<config::record_class> wanted(const config::gateway& c, const std::string& destination) {
  std::vector<config::record_class> out;
  for (auto& d : c.destinations)
    for (auto& rc : c.classes)
      if (d.name == destination && lists(d.classes, rc.name))
        out.push_back(rc);
  return out;
}

std::vector<dispatch_plan::record_class> lanes(const std::vector<config::record_class>& classes) {
  std::vector<dispatch_plan::record_class> out;
  for (auto& c : classes)
    out.push_back({c.name, c.priority});
  return out;
}

link::route_supervisor supervisor(const config::gateway& c, const std::string& destination,
                                  const std::vector<config::record_class>& classes) {
  std::vector<link::link_options> links;
  for (auto& l : c.links)
    if (l.destination == destination)
      links.push_back({l.name, l.priority, l.cost, l.classes, l.latency_limit, l.on_demand, l.tuning.route,
                       l.tuning.damping});
  std::vector<link::class_options> options;
  for (auto& rc : classes)
    options.push_back({rc.name, rc.links, rc.duplicate, rc.latency_sensitive, rc.when_spent});
  return {links, options};
}

link::budget_settings budget(const config::link& l) {
  auto b = l.tuning.budget;
  b.day = l.budget_day.count;
  b.month = l.budget_month.count;
  return b;
}

// A diversion of an earlier life has no other end than that life's.
std::deque<link::switch_entry> entries(const route_board::kept& k, const std::string& destination) {
  std::deque<link::switch_entry> out;
  const auto row = k.journals.find(destination);
  if (row == k.journals.end())
    return out;
  for (auto& s : row->second.switches()) {
    const auto kind = s.kind() == "diverted" ? "switched" : s.kind();
    auto& e = out.emplace_back(link::switch_entry{s.unix_nanos(), s.record_class(), s.from(), s.to(), s.cause(), kind});
    if (s.has_gap_micros())
      e.gap = std::chrono::milliseconds(s.gap_micros() / 1000);
  }
  return out;
}

} // namespace

route_board::route_board(const config::gateway& c, const std::string& destination, const kept& k, moment m)
    : plan(lanes(wanted(c, destination)), c.store.backlog_share), destination_(destination),
      classes_(wanted(c, destination)), supervisor_(supervisor(c, destination, classes_)),
      journal_(most_switches, entries(k, destination)), ticked_(m.now) {
  for (auto& l : c.links) {
    if (l.destination != destination)
      continue;
    const auto row = k.links.find(l.name);
    auto& mine = links_.emplace(l.name, member{l, {budget(l), row == k.links.end() ? v1::LinkRow() : row->second}})
                   .first->second;
    mine.reason = "waiting for its uplink";
    mine.since = m.now;
    if (mine.ledger.drained())
      supervisor_.drain(l.name, true, m.now);
    if (mine.ledger.pinned())
      supervisor_.pin(l.name, true, m.now);
  }
  for (auto& rc : classes_)
    plan.route(rc.name, supervisor_.route_of(rc.name));
  levels(m);
  apply(m);
}

} // namespace holdfast::store
