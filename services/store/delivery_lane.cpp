#include "services/store/delivery_lane.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace holdfast::store {

namespace {

void move_all(range_set& from, range_set& to) {
  for (auto& r : from.ranges())
    to.insert(r);
  from.clear();
}

} // namespace

void delivery_lane::opened(std::uint64_t head) { head_ = std::max(head_, head); }

void delivery_lane::add_backlog(seq_range r) {
  opened(r.last);
  backlog_.insert(r);
}

void delivery_lane::stored(seq_range r, bool live) {
  opened(r.last);
  (live ? live_ : backlog_).insert(r);
}

// What is leased now is left out: its acknowledgement is on the way and says the same.
bool delivery_lane::reconcile(const std::vector<seq_range>& present, const std::vector<seq_range>& elsewhere) {
  range_set there;
  bool ours = true;
  for (auto& r : present) {
    ours = ours && r.last <= head_;
    there.insert(r);
  }
  move_all(claimed_, backlog_);
  for (auto& r : there.ranges())
    claim(r);
  for (auto& r : elsewhere)
    claim(r);
  settle_lost(there);
  return ours;
}

void delivery_lane::claim(seq_range r) {
  for (auto* from : {&live_, &backlog_, &parked_}) {
    for (auto& known : from->inside(r)) {
      from->erase(known);
      claimed_.insert(known);
    }
  }
}

void delivery_lane::settle_lost(const range_set& there) {
  range_set confirmed;
  if (head_ > 0)
    confirmed.insert({1, head_});
  for (auto* open : {&live_, &backlog_, &claimed_, &parked_})
    for (auto& r : open->ranges())
      confirmed.erase(r);
  for (auto& [first, l] : leases_)
    confirmed.erase({first, l.last});
  lost_.clear();
  for (auto& c : confirmed.ranges())
    for (auto& missing : there.outside(c))
      lost_.insert(missing);
}

range_set& delivery_lane::where(kind how) {
  switch (how) {
    case kind::check: return claimed_;
    case kind::gap: return lost_;
    case kind::live: return live_;
    case kind::backlog: break;
  }
  return backlog_;
}

std::optional<seq_range> delivery_lane::front(kind how) const {
  return const_cast<delivery_lane*>(this)->where(how).front();
}

std::optional<seq_range> delivery_lane::copy(kind how, const std::string& link) const {
  const auto wanted = copies_.find(link);
  if (wanted == copies_.end())
    return std::nullopt;
  const auto& of_kind = wanted->second[static_cast<std::size_t>(how)];
  if (of_kind.empty())
    return std::nullopt;
  return seq_range{*of_kind.begin(), leases_.at(*of_kind.begin()).last};
}

// -- leases -----------------------------------------------------------------------------------------------------------

void delivery_lane::leased(seq_range r, const std::string& link, kind how) {
  if (auto l = leases_.find(r.first); l != leases_.end()) {
    if (!l->second.held_by(link))
      l->second.second = link;
    return forget_copies(l);
  }
  for (auto* set : {&live_, &backlog_, &claimed_, &lost_})  // a batch may reach beyond what was asked for
    set->erase(r);
  leases_[r.first] = {r.last, how, link};
}

void delivery_lane::want_copy(std::uint64_t first, const std::string& link) {
  const auto l = leases_.find(first);
  if (l != leases_.end() && l->second.second.empty() && l->second.first != link)
    copies_[link][static_cast<std::size_t>(l->second.how)].insert(first);
}

void delivery_lane::want_copies(const std::string& link, const std::string& from) {
  for (auto& [first, l] : leases_)
    if (from.empty() || l.held_by(from))
      want_copy(first, link);
}

void delivery_lane::make_way(const std::string& link, const std::vector<std::string>& carriers, const has_batch& has) {
  for (auto l = leases_.begin(); l != leases_.end(); ++l)
    make_way(l, link, carriers, has);
}

void delivery_lane::make_way(std::uint64_t first, const std::string& link, const std::vector<std::string>& carriers,
                             const has_batch& has) {
  if (const auto l = leases_.find(first); l != leases_.end())
    make_way(l, link, carriers, has);
}

void delivery_lane::make_way(leases::iterator at, const std::string& link, const std::vector<std::string>& carriers,
                             const has_batch& has) {
  const auto carries = [&](auto& name) { return std::find(carriers.begin(), carriers.end(), name) != carriers.end(); };
  auto& l = at->second;
  if (l.held_by(link) || (!l.second.empty() && carries(l.first) && carries(l.second)))
    return;
  if (!l.second.empty() && !carries(l.first))
    std::swap(l.first, l.second);
  l.second.clear();
  if (!has(at->first))
    return;
  l.second = link;
  forget_copies(at);
}

void delivery_lane::no_copy(std::uint64_t first, const std::string& link) {
  if (auto wanted = copies_.find(link); wanted != copies_.end())
    for (auto& of_kind : wanted->second)
      of_kind.erase(first);
}

void delivery_lane::forget_copies(leases::iterator l) {
  for (auto& [link, wanted] : copies_)
    wanted[static_cast<std::size_t>(l->second.how)].erase(l->first);
}

delivery_lane::leases::iterator delivery_lane::end_lease(leases::iterator l, const std::string& link,
                                                         range_set* returns_to) {
  auto& held = l->second;
  if (held.second == link) {
    held.second.clear();
  } else if (!held.second.empty()) {
    held.first = std::exchange(held.second, {});
  } else {
    if (returns_to != nullptr)
      returns_to->insert({l->first, held.last});
    forget_copies(l);
    return leases_.erase(l);
  }
  return std::next(l);
}

void delivery_lane::link_down(const std::string& link) {
  no_copies(link);
  for (auto l = leases_.begin(); l != leases_.end();) {
    const auto how = l->second.how;
    l = l->second.held_by(link) ? end_lease(l, link, &where(how == kind::live ? kind::backlog : how)) : std::next(l);
  }
}

void delivery_lane::no_carrier() { move_all(live_, backlog_); }

void delivery_lane::no_links() {
  move_all(live_, backlog_);
  move_all(claimed_, backlog_);
  lost_.clear();
}

std::vector<seq_range> delivery_lane::acknowledged(seq_range r, const std::vector<seq_range>& brought) {
  std::vector<seq_range> complete;
  for (auto l = leases_.lower_bound(r.first); l != leases_.end() && l->second.last <= r.last;) {
    complete.push_back({l->first, l->second.last});
    forget_copies(l);
    l = leases_.erase(l);
  }
  for (auto& b : brought)
    for (auto* open : {&live_, &backlog_, &claimed_, &parked_})
      for (auto& piece : open->inside(b)) {
        open->erase(piece);
        complete.push_back(piece);
      }
  claim(r);
  return complete;
}

void delivery_lane::confirmed(seq_range r) {
  for (auto* set : {&live_, &backlog_, &claimed_, &lost_, &parked_})
    set->erase(r);
}

bool delivery_lane::rejected(std::uint64_t first, const std::string& link, bool aside) {
  const auto l = leases_.find(first);
  if (l == leases_.end() || !l->second.held_by(link))
    return false;
  if (l->second.how == kind::gap)
    end_lease(l, link, aside ? nullptr : &lost_);  // set aside: the next session finds it missing again
  else
    end_lease(l, link, aside ? &parked_ : &backlog_);
  return true;
}

std::vector<std::string> delivery_lane::holders(std::uint64_t first) const {
  const auto l = leases_.find(first);
  if (l == leases_.end())
    return {};
  return l->second.second.empty() ? std::vector{l->second.first} : std::vector{l->second.first, l->second.second};
}

bool delivery_lane::checks(std::uint64_t first) const {
  const auto it = leases_.find(first);
  return it != leases_.end() && it->second.how == kind::check;
}

void delivery_lane::unpark() { move_all(parked_, backlog_); }

bool delivery_lane::checked() const noexcept {
  return claimed_.empty()
         && std::none_of(leases_.begin(), leases_.end(), [](auto& entry) { return entry.second.how == kind::check; });
}

std::optional<std::uint64_t> delivery_lane::oldest() const {
  std::optional<std::uint64_t> first;
  for (auto* set : {&live_, &backlog_, &claimed_, &parked_})
    if (auto r = set->front(); r && (!first || r->first < *first))
      first = r->first;
  for (auto& [seq, l] : leases_) {
    if (l.how == kind::gap)
      continue;
    if (!first || seq < *first)
      first = seq;
    break;
  }
  return first;
}

} // namespace holdfast::store
