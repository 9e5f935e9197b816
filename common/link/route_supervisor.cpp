#include "common/link/route_supervisor.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::link {

const char* to_string(link_state state) {
  static constexpr const char* names[] = {"connecting", "standby", "active",       "degraded",
                                          "suspect",    "down",    "circuit open", "drained"};
  return names[static_cast<int>(state)];
}

route_supervisor::route_supervisor(const std::vector<link_options>& links, const std::vector<class_options>& classes) {
  for (const auto& o : links)
    links_.push_back({.options = o, .damping = flap_damping(o.damping)});
  for (const auto& o : classes)
    lanes_.push_back({.options = o});
  for (auto& l : lanes_)
    fill(l, {});
}

std::vector<route_supervisor::action> route_supervisor::take() { return std::exchange(actions_, {}); }

const route_supervisor::member* route_supervisor::find(const std::string& link) const {
  const auto at = std::find_if(links_.begin(), links_.end(), [&](const member& m) { return m.options.name == link; });
  return at == links_.end() ? nullptr : &*at;
}

route_supervisor::member* route_supervisor::find(const std::string& link) {
  return const_cast<member*>(std::as_const(*this).find(link));
}

route_supervisor::lane* route_supervisor::on_trial(const std::string& record_class) {
  const auto at = std::find_if(lanes_.begin(), lanes_.end(), [&](const lane& l) {
    return l.options.name == record_class && !l.now.trial.empty();
  });
  return at == lanes_.end() ? nullptr : &*at;
}

const route& route_supervisor::route_of(const std::string& record_class) const {
  static const route none;
  for (const auto& l : lanes_)
    if (l.options.name == record_class)
      return l.now;
  return none;
}

// -- events -----------------------------------------------------------------------------------------------------------

void route_supervisor::note(member& m, const link_report& r, time_point now) {
  const auto before = m.last.health;
  m.last = r;
  m.opened_proofs = std::min(m.opened_proofs, r.proofs);  // a new process counts from the beginning
  if (before == r.health)
    return;
  m.healthy_since = now;
  m.faltered = !r.ours && (m.faltered || before == health::up);
  if (!carries(before) && carries(r.health)) {
    m.opened = now;
    m.opened_proofs = r.proofs;
    m.carried = 0;
  }
  const auto& d = m.options.damping;
  if (carries(before) && !carries(r.health)) {
    m.proven = false;
    if (wanted(m.options.name) && !m.drained && !r.ours)  // one that is on demand may go when nobody needs it
      m.damping.penalise(before == health::suspect ? d.flap - d.suspicion : d.flap, now);
    actions_.push_back({.what = action::type::release, .from = m.options.name, .cause = r.cause});
  } else if (r.health == health::suspect || (r.health == health::degraded && before == health::up)) {
    m.damping.penalise(d.suspicion, now);
  }
  if (r.health == health::suspect)
    actions_.push_back({.what = action::type::share, .from = m.options.name, .cause = r.cause});
}

void route_supervisor::report(const std::string& link, const link_report& r, time_point now) {
  auto* m = find(link);
  if (m == nullptr)
    return;
  if (r.ours || settled_at_ == time_point{})
    settled_at_ = now + settling;
  note(*m, r, now);
  if (const auto limit = m->options.latency_threshold; limit > milliseconds(0))
    m->slow = r.round_trip > (m->slow ? limit * 4 / 5 : limit);
  decide(now);
}

void route_supervisor::budget(const std::string& link, budget_level level, time_point now) {
  if (auto* m = find(link); m != nullptr) {
    m->budget = level;
    decide(now);
  }
}

void route_supervisor::carried(const std::string& link, const std::string& record_class, time_point now) {
  auto* m = find(link);
  if (m == nullptr)
    return;
  ++m->carried;
  if (auto* l = on_trial(record_class); l != nullptr && l->now.trial != link) {
    l->quiet_since = now;
    if (l->offered && !l->outrun)
      l->outrun = now;
  } else if (l != nullptr && now > l->trial_since) {
    pass_trial(*l, now);
  }
  decide(now);
}

void route_supervisor::offered(const std::string& record_class, time_point now) {
  if (auto* l = on_trial(record_class); l != nullptr)
    l->offered = true;
  decide(now);
}

void route_supervisor::idle(const std::string& record_class, time_point now) {
  // With nothing to carry there is nothing to prove, and a metered link may rest. With much, and neither carried for so
  // long, its old link is full of a more urgent class.
  if (auto* l = on_trial(record_class); l != nullptr && now - l->quiet_since >= find(l->now.trial)->options.route.trial)
    pass_trial(*l, now);
  decide(now);
}

void route_supervisor::drain(const std::string& link, bool yes, time_point now) {
  if (auto* m = find(link); m != nullptr) {
    m->drained = yes;
    m->healthy_since = now;
    decide(now);
  }
}

void route_supervisor::pin(const std::string& link, bool yes, time_point now) {
  auto* named = find(link);
  if (named == nullptr)
    return;
  for (auto& m : links_)
    m.pinned = m.pinned && !yes;
  named->pinned = yes;
  decide(now);
}

void route_supervisor::tick(time_point now) { decide(now); }

void route_supervisor::prove(time_point now) {
  for (auto& m : links_) {
    const bool well = m.last.health == health::up || m.last.health == health::degraded;
    const bool enough = m.last.proofs - m.opened_proofs + m.carried >= m.options.route.proofs;
    m.proven = m.proven || (well && enough && now - m.opened >= m.options.route.probation);
  }
}

// -- questions --------------------------------------------------------------------------------------------------------

std::optional<time_point> route_supervisor::next_deadline() const {
  std::optional<time_point> next;
  const auto consider = [&](time_point t) {
    if (t > now_)
      next = next ? std::min(*next, t) : t;
  };
  for (const auto& m : links_) {
    if (carries(m.last.health)) {
      consider(m.opened + m.options.route.probation);
      consider(m.healthy_since + m.options.route.hold);
    }
    if (m.damping.suppressed(now_))
      consider(m.damping.reuse_at());
  }
  for (const auto& l : lanes_)
    if (const auto* m = find(l.now.trial); m != nullptr)
      consider(l.outrun.value_or(l.trial_since) + m->options.route.trial);
  return next;
}

link_state route_supervisor::state_of(const std::string& link) const {
  const auto* m = find(link);
  if (m == nullptr)
    return link_state::down;
  if (m->drained)
    return link_state::drained;
  switch (m->last.health) {
    case health::connecting: return link_state::connecting;
    case health::degraded: return link_state::degraded;
    case health::suspect: return link_state::suspect;
    case health::down: return link_state::down;
    case health::circuit_open: return link_state::circuit_open;
    case health::up: break;
  }
  const auto carried = std::any_of(lanes_.begin(), lanes_.end(), [&](const lane& l) {
    return std::find(l.now.carriers.begin(), l.now.carriers.end(), link) != l.now.carriers.end();
  });
  return carried ? link_state::active : link_state::standby;
}

bool route_supervisor::wanted(const std::string& link) const {
  const auto* m = find(link);
  if (m == nullptr)
    return false;
  return !m->options.on_demand || std::any_of(lanes_.begin(), lanes_.end(), [&](const lane& l) {
    const auto& c = l.now.carriers;
    const auto* standby = find(l.now.standby);
    const bool alone = c.empty() || standby == nullptr || !carries(standby->last.health);
    const bool used = standby == m || l.now.trial == link || std::find(c.begin(), c.end(), link) != c.end();
    const bool ahead = !c.empty() && preferred(*m, *find(c.front()));  // it would take over from there
    return used || ((alone || ahead) && allowed(*m, l));
  });
}

bool route_supervisor::suppressed(const std::string& link) const {
  const auto* m = find(link);
  return m != nullptr && m->damping.suppressed(now_);
}

} // namespace holdfast::link
