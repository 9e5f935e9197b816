#include "services/store/route_board.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace holdfast::store {

namespace {

using namespace std::chrono_literals;

// A tick this late says that this process slept: what the uplinks said meanwhile is still to be read.
constexpr auto slept = 1500ms;

link::health health_of(v1::LinkStatus::Health h) {
  switch (h) {
    case v1::LinkStatus::HEALTH_UP: return link::health::up;
    case v1::LinkStatus::HEALTH_DEGRADED: return link::health::degraded;
    case v1::LinkStatus::HEALTH_SUSPECT: return link::health::suspect;
    case v1::LinkStatus::HEALTH_DOWN: return link::health::down;
    case v1::LinkStatus::HEALTH_CIRCUIT_OPEN: return link::health::circuit_open;
    default: return link::health::connecting;
  }
}

bool has_session(link::link_state s) {
  using enum link::link_state;
  return s != connecting && s != down && s != circuit_open;
}

link::wall_time wall(moment m) {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::sys_time<std::chrono::nanoseconds>(
    std::chrono::nanoseconds(m.unix_nanos)));
}

} // namespace

// -- what links say ---------------------------------------------------------------------------------------------------

void route_board::attached(const std::string& link, std::uint64_t session, moment m) {
  plan.link_down(link);
  auto& l = links_.at(link);
  l.session = session;
  l.ready = l.tells = l.silent = false;
  l.last.Clear();
  l.reason = session == 0 ? "the store has a new epoch" : "no session yet";
  pending_.links.insert(link);
  report(link, m);
}

void route_board::ready(const std::string& link, std::uint64_t window_bytes, moment m) {
  plan.link_ready(link, window_bytes);
  auto& l = links_.at(link);
  l.ready = true;
  l.heard = m.now;
  report(link, m);
}

void route_board::status(const v1::LinkStatus& s, moment m) {
  auto& l = links_.at(s.link());
  l.last = s;
  l.tells = true;
  l.silent = false;
  l.heard = m.now;
  l.ledger.count(s.session(), s.wire_bytes(), plan.coming_bytes(s.link()), wall(m));
  plan.counted(s.link());
  levels(m);
  report(s.link(), m);
}

// Comparisons and gaps are next to nothing, and what they settle may keep a whole batch from the link.
bool route_board::charge(const dispatch_plan::order& o, std::uint64_t bytes, moment m) {
  using kind = dispatch_plan::kind;
  const bool always = o.how == kind::check || o.how == kind::gap;
  const auto of = std::find_if(classes_.begin(), classes_.end(), [&](auto& c) { return c.name == o.record_class; });
  const auto rule = always ? link::budget_rule::ignore : of->when_spent;
  if (links_.at(o.link).ledger.charge(rule, dispatch_plan::wire_bytes(bytes)))
    return true;
  plan.hold(o);
  levels(m);
  apply(m);
  return false;
}

void route_board::down(const std::string& link, const std::string& reason, moment m) {
  plan.link_down(link);
  auto& l = links_.at(link);
  l.ready = false;
  l.reason = reason;
  report(link, m);
}

std::vector<seq_range> route_board::acknowledged(const std::string& link, const std::string& record_class, seq_range r,
                                                 moment m) {
  if (std::none_of(classes_.begin(), classes_.end(), [&](auto& c) { return c.name == record_class; }))
    return {};
  auto whole = plan.acknowledged(link, record_class, r, m.now);
  supervisor_.carried(link, record_class, m.now);
  journal_changed_ = journal_.delivered(record_class, link, m.now) || journal_changed_;
  if (supervisor_.revision() != seen_)
    apply(m);
  return whole;
}

std::string route_board::command(const std::string& link, v1::LinkCommand::What what, moment m) {
  const bool drain = what == v1::LinkCommand::WHAT_DRAIN;
  const bool pin = what == v1::LinkCommand::WHAT_PIN;
  if (drain || what == v1::LinkCommand::WHAT_UNDRAIN) {
    links_.at(link).ledger.drain(drain);
    supervisor_.drain(link, drain, m.now);
  } else if (pin || what == v1::LinkCommand::WHAT_UNPIN) {
    if (!pin && pinned() != link)
      return fmt::format("failed to unpin link '{}': {} is pinned", link, pinned().empty() ? "none" : pinned());
    for (auto& [name, l] : links_)
      l.ledger.pin(pin && name == link);
    supervisor_.pin(link, pin, m.now);
  }
  apply(m);
  return {};
}

std::string route_board::pinned() const {
  const auto at = std::find_if(links_.begin(), links_.end(), [](auto& l) { return l.second.ledger.pinned(); });
  return at == links_.end() ? std::string() : at->first;
}

void route_board::renewed(moment m) {
  plan.renewed();
  for (auto& [name, l] : links_)
    if (l.session != 0)
      attached(name, 0, m);
}

void route_board::tick(moment m) {
  const bool late = m.now - std::exchange(ticked_, m.now) > slept;
  for (auto& [name, l] : links_) {
    l.ledger.advance(wall(m));
    if (late)
      l.heard = m.now;
    if (l.ready && !l.tells) {  // an older uplink keeps its session as long as it is answered
      l.last.set_proofs(l.last.proofs() + 1);
      report(name, m);
    }
    if (!l.ready || !l.tells || l.silent || m.now - l.heard <= silence)
      continue;
    l.silent = true;
    report(name, m);
  }
  levels(m);
  tell_trials(m);
  supervisor_.tick(m.now);
  apply(m);
  look(m);  // a drained link may have nothing on its way any more
}

// -- what follows -----------------------------------------------------------------------------------------------------

link::link_report route_board::judge(const member& m) const {
  using link::health;
  if (m.silent)
    return {.health = health::down, .cause = fmt::format("no word from its uplink for {} s", silence.count())};
  if (!m.tells)
    return {.health = m.ready ? health::up : health::connecting, .cause = m.ready ? "session stands" : m.reason,
            .proofs = m.last.proofs(), .ours = m.session == 0};
  const auto h = health_of(m.last.health());
  if (link::carries(h) && !m.ready)
    return {.health = health::connecting, .cause = m.reason};
  return {.health = h, .cause = m.last.cause(), .round_trip = std::chrono::microseconds(m.last.round_trip_micros()),
          .proofs = m.last.proofs()};
}

void route_board::report(const std::string& link, moment m) {
  const auto r = judge(links_.at(link));
  if (link::carries(r.health))
    plan.resume(link);
  supervisor_.report(link, r, m.now);
  apply(m);
}

void route_board::tell_trials(moment m) {
  for (auto& c : classes_) {
    const auto trial = supervisor_.route_of(c.name).trial;
    if (!trial.empty() && plan.carries(trial, c.name))
      supervisor_.offered(c.name, m.now);
    else if (!trial.empty() && plan.idle(c.name))
      supervisor_.idle(c.name, m.now);
  }
}

void route_board::levels(moment m) {
  for (auto& [name, l] : links_)
    if (l.ledger.metered())
      supervisor_.budget(name, l.ledger.level(), m.now);
}

void route_board::apply(moment m) {
  using type = link::route_supervisor::action::type;
  const auto actions = supervisor_.take();
  for (auto& a : actions)
    if (a.what == type::release)
      plan.release(a.from);
  if (std::exchange(seen_, supervisor_.revision()) != supervisor_.revision())
    for (auto& rc : classes_)
      plan.route(rc.name, supervisor_.route_of(rc.name));
  for (auto& a : actions) {
    if (a.what == type::share)
      plan.share(a.from);
    else if (a.what != type::release)
      note(a, m);
  }
  look(m);
}

// A diversion and what became of it are one line of the journal.
void route_board::note(const link::route_supervisor::action& a, moment m) {
  using type = link::route_supervisor::action::type;
  const auto* kind = a.what == type::diverted ? "diverted" : a.what == type::returned ? "returned" : "switched";
  const link::switch_entry e{m.unix_nanos, a.record_class, a.from, a.to, a.cause, kind};
  pending_.switches.push_back(told(e));
  const bool known = a.what != type::diverted && journal_.resolve(a.record_class, kind, a.cause);
  const auto& all = journal_.entries();
  const auto last = std::find_if(all.rbegin(), all.rend(), [&](auto& x) { return x.record_class == a.record_class; });
  if (!known || (a.what == type::switched && last->to != a.to))
    journal_.add(e, m.now);
  journal_changed_ = true;
}

/// Nothing may use it before its budget begins anew.
bool route_board::hopeless(const member& m) const {
  return m.ledger.metered() && m.ledger.level() == link::budget_level::spent
         && std::none_of(classes_.begin(), classes_.end(),
                         [](auto& c) { return c.when_spent == link::budget_rule::ignore; });
}

void route_board::look(moment m) {
  for (auto& [name, l] : links_) {
    const auto state = supervisor_.state_of(name);
    const bool idle = l.ledger.drained() && plan.in_flight_bytes(name) == 0;
    const bool connect = supervisor_.wanted(name) && !idle && !hopeless(l);
    if (state == l.state && connect == l.connect)
      continue;
    // Attempts to connect do not make a broken link's time begin anew.
    if (state != l.state && (has_session(state) || has_session(l.state)))
      l.since = m.now;
    l.state = state;
    l.connect = connect;
    l.cause = l.ledger.drained() ? "by the operator" : judge(l).cause;
    pending_.links.insert(name);
  }
}

} // namespace holdfast::store
