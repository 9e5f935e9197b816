#include "services/store/delivery_lane.hpp"

#include <algorithm>

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

void delivery_lane::leased(seq_range r, lease l) {
  for (auto* set : {&live_, &backlog_, &claimed_, &lost_})  // a batch may reach beyond what was asked for
    set->erase(r);
  l.last = r.last;
  leases_[r.first] = std::move(l);
}

void delivery_lane::link_down(const std::string& link) {
  std::erase_if(leases_, [&](auto& entry) {
    auto& [first, l] = entry;
    if (l.link != link)
      return false;
    where(l.how == kind::live ? kind::backlog : l.how).insert({first, l.last});
    return true;
  });
}

void delivery_lane::no_links() {
  move_all(live_, backlog_);
  move_all(claimed_, backlog_);
  lost_.clear();
}

delivery_lane::leases delivery_lane::acknowledged(seq_range r) {
  leases complete;
  for (auto it = leases_.lower_bound(r.first); it != leases_.end() && it->second.last <= r.last;)
    complete.insert(leases_.extract(it++));
  claim(r);
  return complete;
}

void delivery_lane::confirmed(seq_range r) {
  for (auto* set : {&live_, &backlog_, &claimed_, &lost_, &parked_})
    set->erase(r);
}

std::optional<delivery_lane::lease> delivery_lane::rejected(std::uint64_t first, bool aside) {
  const auto it = leases_.find(first);
  if (it == leases_.end())
    return std::nullopt;
  auto l = std::move(it->second);
  leases_.erase(it);
  if (l.how != kind::gap)
    (aside ? parked_ : backlog_).insert({first, l.last});
  else if (!aside)  // otherwise the next session finds it missing again
    lost_.insert({first, l.last});
  return l;
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
