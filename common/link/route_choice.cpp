#include "common/link/route_supervisor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <tuple>

namespace holdfast::link {

namespace {

bool lists(const std::vector<std::string>& v, const std::string& s) {
  return v.empty() || std::find(v.begin(), v.end(), s) != v.end();
}

bool holds(const std::vector<std::string>& v, const std::string& s) { return !v.empty() && lists(v, s); }

} // namespace

// -- how good is a link -----------------------------------------------------------------------------------------------

bool route_supervisor::allowed(const member& m, const lane& l) const {
  if (m.drained || !lists(m.options.classes, l.options.name) || !lists(l.options.links, m.options.name))
    return false;
  switch (l.options.spent) {
    case budget_rule::leave_reserve: return m.budget < budget_level::reserve;
    case budget_rule::use_reserve: return m.budget < budget_level::spent;
    case budget_rule::ignore: return true;
  }
  return true;
}

route_supervisor::grade route_supervisor::grade_of(const member& m, const lane& l, time_point now) const {
  if (!allowed(m, l) || !carries(m.last.health))
    return grade::none;
  if (m.last.health == health::suspect)
    return grade::suspect;
  if (m.pinned)
    return grade::good;  // the operator knows better, as long as it answers
  if (!m.proven || m.damping.suppressed(now))
    return grade::unproven;
  const bool slow = m.slow && l.options.latency_sensitive;
  return slow || m.last.health == health::degraded ? grade::poor : grade::good;
}

bool route_supervisor::preferred(const member& a, const member& b) const {
  const auto key = [](const member& m) {
    return std::tuple(!m.pinned, m.options.priority, m.options.cost, std::string_view(m.options.name));
  };
  return key(a) < key(b);
}

const route_supervisor::member* route_supervisor::best(const lane& l, time_point now,
                                                       const std::vector<std::string>& except) const {
  const member* found = nullptr;
  auto found_grade = grade::none;
  for (const auto& m : links_) {
    const auto g = grade_of(m, l, now);
    if (g == grade::none || holds(except, m.options.name))
      continue;
    if (found == nullptr || g < found_grade || (g == found_grade && preferred(m, *found))) {
      found = &m;
      found_grade = g;
    }
  }
  return found;
}

// -- decisions --------------------------------------------------------------------------------------------------------

void route_supervisor::decide(time_point now) {
  now_ = now;
  prove(now);
  for (auto& l : lanes_) {
    const auto before = l.now;
    decide(l, now);
    fill(l, now);
    revision_ += before == l.now ? 0 : 1;
  }
}

void route_supervisor::decide(lane& l, time_point now) {
  using type = action::type;
  const auto* current = l.now.carriers.empty() ? nullptr : find(l.now.carriers.front());
  const auto* other = best(l, now);
  const auto mine = current == nullptr ? grade::none : grade_of(*current, l, now);
  const auto theirs = other == nullptr ? grade::none : grade_of(*other, l, now);

  if (!l.diverted_from.empty() && judge_diversion(l, mine, now))
    return;
  if (mine == grade::none)
    return current == other ? void() : move(l, other, type::switched, why_left(current, l));
  if (mine == grade::suspect && theirs < mine)
    return move(l, other, type::diverted, why_left(current, l));
  if (!l.now.trial.empty())
    return judge_trial(l, other, now);
  if (other != current)
    try_better(l, *current, *other, now);
}

/// Traffic left a suspected link. True when it has returned.
bool route_supervisor::judge_diversion(lane& l, grade mine, time_point now) {
  const auto* from = find(l.diverted_from);
  const auto g = grade_of(*from, l, now);
  if (g == grade::suspect)
    return false;
  if (g <= mine) {
    move(l, from, action::type::returned, fmt::format("{} {}", from->options.name, from->last.cause));
    return true;
  }
  // It was dead, or suspected too often: now it has been left.
  if (!l.now.carriers.empty())
    actions_.push_back({action::type::switched, l.options.name, l.diverted_from, l.now.carriers.front(),
                        why_left(from, l)});
  l.diverted_from.clear();
  return false;
}

void route_supervisor::try_better(lane& l, const member& current, const member& candidate, time_point now) {
  const auto mine = grade_of(current, l, now);
  const auto theirs = grade_of(candidate, l, now);
  const auto& route = candidate.options.route;
  const bool held = theirs == grade::good && now - candidate.healthy_since >= route.hold;
  const bool came_later = now < settled_at_ && candidate.last.health == health::up && !candidate.faltered
                          && candidate.last.proofs >= route.proofs;
  const bool may = held || came_later;
  if (theirs < mine || candidate.pinned || (theirs == mine && may && preferred(candidate, current))) {
    l.now.trial = candidate.options.name;
    l.trial_since = l.quiet_since = now;
    l.offered = false;
    l.outrun.reset();
  }
}

void route_supervisor::judge_trial(lane& l, const member* other, time_point now) {
  const auto* m = find(l.now.trial);
  if (m != other)
    l.now.trial.clear();  // it is not the best any more
  else if (l.outrun && now - *l.outrun >= m->options.route.trial)
    fail_trial(l, now);
}

void route_supervisor::fail_trial(lane& l, time_point now) {
  auto* m = find(l.now.trial);
  l.now.trial.clear();
  m->healthy_since = now;
  m->damping.penalise(m->options.damping.suspicion, now);
}

void route_supervisor::pass_trial(lane& l, time_point now) {
  const auto* m = find(l.now.trial);
  l.now.trial.clear();
  const auto* current = find(l.now.carriers.front());
  const bool better = grade_of(*m, l, now) < grade_of(*current, l, now);
  const auto healthy = std::chrono::duration_cast<std::chrono::seconds>(now - m->healthy_since).count();
  const auto cause = m->pinned ? fmt::format("{} is pinned", m->options.name)
                   : better    ? why_left(current, l)
                   : l.trial_since < settled_at_ ? fmt::format("{} is preferred and worked before", m->options.name)
                               : fmt::format("{} has been healthy for {} s", m->options.name, healthy);
  move(l, m, action::type::switched, cause);
  ++revision_;
}

void route_supervisor::move(lane& l, const member* to, action::type what, const std::string& cause) {
  auto& carriers = l.now.carriers;
  const auto from = carriers.empty() ? std::string() : carriers.front();
  const auto name = to == nullptr ? std::string() : to->options.name;
  if (what == action::type::diverted)
    l.diverted_from = l.diverted_from.empty() ? from : l.diverted_from;
  else
    l.diverted_from.clear();
  l.now.trial.clear();
  // A second carrier stays where it is; where it becomes the first, fill() finds another.
  std::erase(carriers, name);
  if (!carriers.empty() && carriers.front() == from)
    carriers.erase(carriers.begin());
  if (to != nullptr)
    carriers.insert(carriers.begin(), name);
  actions_.push_back({what, l.options.name, from, name, cause});
}

/// The second carrier of a class that wants two, and the standby.
void route_supervisor::fill(lane& l, time_point now) {
  auto& carriers = l.now.carriers;
  if (!carriers.empty()) {
    const auto* second = best(l, now, {carriers.front()});
    const auto* present = carriers.size() > 1 ? find(carriers[1]) : nullptr;
    const bool both = present != nullptr && second != nullptr;
    if (!both || grade_of(*present, l, now) != grade_of(*second, l, now)) {
      carriers.resize(1);
      if (l.options.duplicate && second != nullptr)
        carriers.push_back(second->options.name);
    }
  }
  // The best of the others; of those that cannot carry yet, the preferred one.
  const member* standby = best(l, now, carriers);
  for (const auto& m : links_)
    if (standby == nullptr || !carries(standby->last.health))
      if (allowed(m, l) && !holds(carriers, m.options.name) && (standby == nullptr || preferred(m, *standby)))
        standby = &m;
  l.now.standby = standby == nullptr ? std::string() : standby->options.name;
}

std::string route_supervisor::why_left(const member* m, const lane& l) const {
  if (m == nullptr)
    return "first link that can carry";
  const auto& name = m->options.name;
  if (m->drained)
    return fmt::format("{} is drained", name);
  if (carries(m->last.health) && !allowed(*m, l))
    return fmt::format("budget of {} is {}", name, to_string(m->budget));
  if (m->last.health != health::up)
    return fmt::format("{} {}: {}", name, to_string(m->last.health), m->last.cause);
  if (m->slow && l.options.latency_sensitive)
    return fmt::format("round trip of {} is {} ms", name, m->last.round_trip.count() / 1000);
  return fmt::format("{} came and went too often", name);
}

} // namespace holdfast::link
