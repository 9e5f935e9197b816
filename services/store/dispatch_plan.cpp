#include "services/store/dispatch_plan.hpp"

#include <algorithm>

namespace holdfast::store {

namespace {
// The backlog's claim is forgotten beyond this: after a long idle time it must not shut live records out.
constexpr double max_credit = 1 << 20;
} // namespace

dispatch_plan::dispatch_plan(std::vector<record_class> classes, unsigned backlog_share_percent)
    : share_(static_cast<double>(backlog_share_percent) / std::max(1.0, 100.0 - backlog_share_percent)) {
  std::stable_sort(classes.begin(), classes.end(), [](auto& a, auto& b) { return a.priority < b.priority; });
  for (auto& c : classes)
    lanes_.push_back({.what = c});
}

dispatch_plan::lane* dispatch_plan::find(const std::string& record_class) {
  auto it = std::find_if(lanes_.begin(), lanes_.end(), [&](auto& l) { return l.what.name == record_class; });
  return it == lanes_.end() ? nullptr : &*it;
}

const dispatch_plan::lane* dispatch_plan::find(const std::string& record_class) const {
  return const_cast<dispatch_plan*>(this)->find(record_class);
}

void dispatch_plan::add_backlog(const std::string& record_class, seq_range r) {
  if (auto* l = find(record_class))
    l->backlog.insert(r);
}

void dispatch_plan::stored(const std::string& record_class, seq_range r) {
  if (auto* l = find(record_class))
    (links_.empty() ? l->backlog : l->live).insert(r);
}

void dispatch_plan::link_ready(const std::string& link, std::uint64_t window_bytes) {
  link_down(link);  // a new session has none of the old one's leases
  links_[link] = {.window = window_bytes};
}

void dispatch_plan::link_down(const std::string& link) {
  links_.erase(link);
  for (auto& l : lanes_) {
    std::erase_if(l.leases, [&](auto& entry) {
      if (entry.second.link != link)
        return false;
      l.backlog.insert({entry.first, entry.second.last});
      return true;
    });
    if (!links_.empty())
      continue;
    for (auto& r : l.live.ranges())
      l.backlog.insert(r);
    l.live.clear();
  }
}

std::optional<dispatch_plan::order> dispatch_plan::next() const {
  auto link = std::find_if(links_.begin(), links_.end(), [](auto& l) { return l.second.room(); });
  if (link == links_.end())
    return std::nullopt;
  const lane* live = nullptr;
  const lane* backlog = nullptr;
  for (auto& l : lanes_) {
    if (live == nullptr && !l.live.empty())
      live = &l;
    if (backlog == nullptr && !l.backlog.empty())
      backlog = &l;
  }
  // A more urgent class's backlog goes before a lesser one's live records.
  const bool backlog_turn = backlog != nullptr && link->second.backlog_room()
                            && (live == nullptr || backlog_credit_ > 0 || backlog->what.priority < live->what.priority);
  if (backlog_turn)
    return order{link->first, backlog->what.name, *backlog->backlog.front(), true};
  if (live != nullptr)
    return order{link->first, live->what.name, *live->live.front(), false};
  return std::nullopt;
}

void dispatch_plan::leased(const order& o, seq_range batch, std::uint64_t bytes, clock::time_point now) {
  auto* l = find(o.record_class);
  auto& todo = o.historical ? l->backlog : l->live;
  todo.erase(batch);
  auto& link = links_[o.link];
  l->leases[batch.first] = {o.link, batch.last, bytes, o.historical, link.pace.leased(bytes, now)};
  link.in_flight += bytes;
  link.backlog_in_flight += o.historical ? bytes : 0;
  const auto weight = static_cast<double>(bytes);
  const bool contested = std::any_of(lanes_.begin(), lanes_.end(), [](auto& x) { return !x.backlog.empty(); });
  if (o.historical)
    backlog_credit_ = std::max(backlog_credit_ - weight, -max_credit);
  else if (contested)
    backlog_credit_ = std::min(backlog_credit_ + weight * share_, max_credit);
}

void dispatch_plan::gone(const std::string& record_class, seq_range r) {
  if (auto* l = find(record_class)) {
    l->live.erase(r);
    l->backlog.erase(r);
  }
}

void dispatch_plan::delivered(const std::string& record_class, seq_range r, clock::time_point now) {
  auto* l = find(record_class);
  if (l == nullptr)
    return;
  l->live.erase(r);
  l->backlog.erase(r);
  for (auto it = l->leases.lower_bound(r.first); it != l->leases.end() && it->second.last <= r.last;) {
    auto& lease = it->second;
    if (auto link = links_.find(lease.link); link != links_.end()) {
      link->second.in_flight -= lease.bytes;
      link->second.backlog_in_flight -= lease.historical ? lease.bytes : 0;
      link->second.pace.acknowledged(lease.mark, now);
    }
    it = l->leases.erase(it);
  }
}

std::uint64_t dispatch_plan::backlog_records() const {
  std::uint64_t n = 0;
  for (auto& l : lanes_)
    n += l.backlog.count();
  return n;
}

std::uint64_t dispatch_plan::live_records() const {
  std::uint64_t n = 0;
  for (auto& l : lanes_)
    n += l.live.count();
  return n;
}

std::uint64_t dispatch_plan::in_flight_bytes() const {
  std::uint64_t n = 0;
  for (auto& [name, link] : links_)
    n += link.in_flight;
  return n;
}

std::optional<std::uint64_t> dispatch_plan::oldest(const std::string& record_class) const {
  auto* l = find(record_class);
  if (l == nullptr)
    return std::nullopt;
  std::optional<std::uint64_t> first;
  for (auto* set : {&l->live, &l->backlog})
    if (auto r = set->front(); r && (!first || r->first < *first))
      first = r->first;
  if (!l->leases.empty() && (!first || l->leases.begin()->first < *first))
    first = l->leases.begin()->first;
  return first;
}

} // namespace holdfast::store
