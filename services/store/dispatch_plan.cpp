#include "services/store/dispatch_plan.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::store {

namespace {
// The backlog's claim is forgotten beyond this: after a long idle time it must not shut live records out.
constexpr double max_credit = 1 << 20;
} // namespace

dispatch_plan::dispatch_plan(std::vector<record_class> classes, unsigned backlog_share_percent) {
  std::stable_sort(classes.begin(), classes.end(), [](auto& a, auto& b) { return a.priority < b.priority; });
  for (auto& c : classes) {
    const double percent = c.backlog_share.value_or(backlog_share_percent);
    lanes_.emplace_back(c, percent / std::max(1.0, 100.0 - percent));
  }
}

dispatch_plan::lane* dispatch_plan::find(const std::string& record_class) {
  auto it = std::find_if(lanes_.begin(), lanes_.end(), [&](auto& l) { return l.what.name == record_class; });
  return it == lanes_.end() ? nullptr : &*it;
}

const dispatch_plan::lane* dispatch_plan::find(const std::string& record_class) const {
  return const_cast<dispatch_plan*>(this)->find(record_class);
}

void dispatch_plan::opened(const std::string& record_class, std::uint64_t head) {
  if (auto* l = find(record_class))
    l->opened(head);
}

void dispatch_plan::add_backlog(const std::string& record_class, seq_range r) {
  if (auto* l = find(record_class))
    l->add_backlog(r);
}

void dispatch_plan::stored(const std::string& record_class, seq_range r) {
  if (auto* l = find(record_class))
    l->stored(r, can_go(*l));
}

// -- sessions ---------------------------------------------------------------------------------------------------------

void dispatch_plan::reconcile(const ranges_by_class& present, const ranges_by_class& elsewhere) {
  const auto of = [](const ranges_by_class& all, const std::string& name) {
    const auto it = all.find(name);
    return it == all.end() ? std::vector<seq_range>{} : it->second;
  };
  for (auto& l : lanes_)
    if (!l.reconcile(of(present, l.what.name), of(elsewhere, l.what.name)))
      foreign_ = true;
  checked_ = false;
  note_checks();
}

bool dispatch_plan::settled() const {
  return std::all_of(lanes_.begin(), lanes_.end(), [](auto& l) { return l.checked() && !l.has_leases(); });
}

void dispatch_plan::note_checks() {
  checked_ = checked_ || std::all_of(lanes_.begin(), lanes_.end(), [](auto& l) { return l.checked(); });
}

void dispatch_plan::renewed() {
  while (any_ready())
    link_down(links_.begin()->first);
}

void dispatch_plan::link_ready(const std::string& link, std::uint64_t window_bytes) {
  link_down(link);  // a new session has none of the old one's leases
  links_[link] = {.window = window_bytes};
  for (auto& l : lanes_) {
    l.unpark();
    complete(l);
  }
}

void dispatch_plan::link_down(const std::string& link) {
  links_.erase(link);
  for (auto& l : lanes_) {
    l.link_down(link);
    complete(l);
    if (links_.empty())
      l.no_links();
  }
  foreign_ = foreign_ && any_ready();
  note_checks();
  note_carriers();
}

// -- what goes next ---------------------------------------------------------------------------------------------------

std::optional<dispatch_plan::order> dispatch_plan::first_with(kind how, const std::string& link) const {
  const auto at = links_.find(link);
  for (auto& l : lanes_) {
    if (at != links_.end() && at->second.held.contains(l.what.name) && how != kind::check && how != kind::gap)
      continue;
    if (const auto batch = l.copy(how, link))
      return order{link, l.what.name, *batch, how, true};
    if (const auto todo = l.front(how); todo && may(l, how, link))
      return order{link, l.what.name, *todo, how};
  }
  return std::nullopt;
}

// A link on trial gets one batch of the class before all else, and not behind a more urgent class's backlog: without
// that nothing would come back in the trial's time, however well the link works.
std::optional<dispatch_plan::order> dispatch_plan::trial_for(const link_entry& link) const {
  auto& [name, state] = link;
  for (auto& l : lanes_) {
    const auto& of = l.what.name;
    if (!l.over || l.over->trial != name || state.held.contains(of) || carries(name, of))
      continue;
    if (const auto batch = l.copy(kind::live, name))
      return order{name, of, *batch, kind::live, true};
    if (const auto batch = l.copy(kind::backlog, name); batch && state.backlog_room())
      return order{name, of, *batch, kind::backlog, true};
  }
  return std::nullopt;
}

// What is urgent on any link goes before the backlog of all of them: that is read from disk.
std::optional<dispatch_plan::order> dispatch_plan::next(bool checks_only) const {
  std::optional<order> later;
  for (auto& link : links_) {
    auto o = link.second.room() ? next_for(link, checks_only) : std::nullopt;
    if (o && o->how != kind::backlog)
      return o;
    if (!later)
      later = std::move(o);
  }
  return later;
}

std::optional<dispatch_plan::order> dispatch_plan::next_for(const link_entry& link, bool checks_only) const {
  auto& [name, state] = link;
  if (auto claimed = first_with(kind::check, name))
    return claimed;
  if (checks_only || !checked_)  // what goes now may have to go under another epoch
    return std::nullopt;
  if (auto lost = first_with(kind::gap, name))
    return lost;
  if (auto shown = trial_for(link))
    return shown;
  auto live = first_with(kind::live, name);
  auto backlog = state.backlog_room() ? first_with(kind::backlog, name) : std::nullopt;
  // A more urgent class's backlog goes before a lesser one's live records.
  const bool backlog_turn = backlog && (!live || state.backlog_credit > 0
                                        || find(backlog->record_class)->what.priority
                                             < find(live->record_class)->what.priority);
  return backlog_turn ? backlog : live;
}

void dispatch_plan::leased(const order& o, seq_range batch, std::uint64_t bytes, clock::time_point now) {
  auto& link = links_[o.link];
  auto& l = *find(o.record_class);
  const bool historical = o.how == kind::backlog;
  l.leased(batch, o.link, o.how);
  if (l.over && (historical || o.how == kind::live))
    for (auto& other : l.over->same)
      if (ready(other)) {
        if (o.copy)  // perhaps of what a link that carries no longer holds: then another carrier is to have it, too
          l.make_way(batch.first, other, l.over->same, has(l, links_.at(other)));
        l.want_copy(batch.first, other);
      }
  const std::pair key{o.record_class, batch.first};
  if (const auto earlier = link.carries.find(key); earlier != link.carries.end())
    answered(link, earlier->second, now);  // its lease had given way; one answer comes for both
  link.carries[key] = {batch.last, bytes, historical, o.how == kind::check, link.pace.leased(bytes, now)};
  link.in_flight += bytes;
  link.backlog_in_flight += historical ? bytes : 0;
  const auto weight = static_cast<double>(bytes);
  if (historical)
    link.backlog_credit = std::max(link.backlog_credit - weight, -max_credit);
  else if (const auto contested = first_with(kind::backlog, o.link))
    link.backlog_credit = std::min(link.backlog_credit + weight * find(contested->record_class)->share, max_credit);
}

void dispatch_plan::counted(const std::string& link) {
  if (const auto at = links_.find(link); at != links_.end())
    at->second.held.clear();
}

void dispatch_plan::skipped(const order& o) { find(o.record_class)->no_copy(o.todo.first, o.link); }

void dispatch_plan::answered(link_state& link, const sent& s, clock::time_point now) {
  link.in_flight -= s.bytes;
  link.backlog_in_flight -= s.historical ? s.bytes : 0;
  link.pace.acknowledged(s.mark, now);
}

std::vector<seq_range> dispatch_plan::acknowledged(const std::string& link, const std::string& record_class,
                                                   seq_range r, clock::time_point now) {
  auto* l = find(record_class);
  if (l == nullptr)
    return {};
  std::vector<seq_range> brought;
  if (const auto at = links_.find(link); at != links_.end()) {
    auto& carries = at->second.carries;
    for (auto s = carries.lower_bound({record_class, r.first});
         s != carries.end() && s->first.first == record_class && s->second.last <= r.last; s = carries.erase(s)) {
      brought.push_back({s->first.second, s->second.last});
      answered(at->second, s->second, now);
    }
  }
  auto complete = l->acknowledged(r, brought);
  note_checks();
  return complete;
}

void dispatch_plan::confirmed(const std::string& record_class, seq_range r) {
  if (auto* l = find(record_class))
    l->confirmed(r);
  note_checks();
}

void dispatch_plan::rejected(const std::string& link, const std::string& record_class, std::uint64_t first,
                             rejection why, clock::time_point now) {
  auto* l = find(record_class);
  const auto at = links_.find(link);
  if (l == nullptr || at == links_.end())
    return;
  const auto s = at->second.carries.find({record_class, first});
  const bool carried = s != at->second.carries.end();
  // Only a comparison misses something: this is a late answer to one that was given up, and what goes now is the batch.
  if (why == rejection::missing && !(carried && s->second.check))
    return;
  if (carried) {
    answered(at->second, s->second, now);
    at->second.carries.erase(s);
  }
  if (why == rejection::missing && !l->checks(first))
    return;  // another link has the batch itself by now
  foreign_ = (l->rejected(first, link, why == rejection::aside) && why == rejection::conflict) || foreign_;
  note_checks();
}

} // namespace holdfast::store
