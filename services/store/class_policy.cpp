#include "services/store/class_policy.hpp"

#include <algorithm>
#include <stdexcept>

namespace holdfast::store {

namespace {

std::uint64_t above(std::uint64_t value, std::uint64_t limit) { return value > limit ? value - limit : 0; }

std::uint64_t find(const class_policy::sizes& s, const std::string& name) {
  const auto it = s.find(name);
  return it == s.end() ? 0 : it->second;
}

} // namespace

class_policy::class_policy(const std::vector<config::record_class>& classes, std::uint64_t store_quota) {
  for (auto& c : classes)
    entries_.push_back({c.name, c.priority, c.overflow != config::overflow_rule::reject,
                        c.quota.count > 0 ? std::min(c.quota.count, store_quota) : store_quota, store_quota});
  std::stable_sort(entries_.begin(), entries_.end(), [](auto& a, auto& b) { return a.priority < b.priority; });
  for (auto& e : entries_)
    if (e.priority > entries_.front().priority)
      e.store = store_quota - store_quota / 10;
}

class_policy::entry& class_policy::of(const std::string& record_class) {
  const auto it = std::find_if(entries_.begin(), entries_.end(), [&](auto& e) { return e.name == record_class; });
  if (it == entries_.end())
    throw std::out_of_range("no class " + record_class);
  return *it;
}

std::vector<class_policy::victim> class_policy::give_way(const sizes& used, std::uint64_t total,
                                                         const sizes& incoming) const {
  std::map<std::string, victim> going;
  std::uint64_t gone = 0;
  const auto take = [&](const entry& e, std::uint64_t bytes, bool for_store) {
    auto& v = going[e.name];
    v.record_class = e.name;
    const auto some = std::min(bytes, find(used, e.name) - v.bytes);
    v.bytes += some;
    v.for_store = v.for_store || (for_store && some > 0);
    gone += some;
  };
  auto all = total;
  for (auto& c : entries_) {
    const auto more = find(incoming, c.name);
    if (more == 0)
      continue;
    all += more;
    if (c.drops)
      take(c, above(find(used, c.name) + more, c.own + going[c.name].bytes), false);
    for (auto v = entries_.rbegin(); v != entries_.rend() && v->priority >= c.priority; ++v)
      if (v->drops && !v->exhausted)
        take(*v, above(all, c.store + gone), true);
  }
  std::vector<victim> out;
  for (auto v = entries_.rbegin(); v != entries_.rend(); ++v)
    if (const auto g = going.find(v->name); g != going.end() && g->second.bytes > 0)
      out.push_back(g->second);
  return out;
}

std::vector<std::string> class_policy::give_way_on_disk() const {
  std::vector<std::string> out;
  for (auto& e : entries_)
    if (e.drops && !e.exhausted && e.priority == entries_.back().priority)
      out.push_back(e.name);
  return out;
}

bool class_policy::can_make_room(const entry& for_whom) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](auto& e) {
    return e.drops && !e.exhausted && e.priority >= for_whom.priority;
  });
}

void class_policy::measured(const sizes& used, std::uint64_t total, bool disk_is_full) {
  const auto open_again = [](std::uint64_t limit) { return limit - limit / 20; };
  for (auto& e : entries_)
    e.exhausted = e.exhausted && (disk_is_full || total > open_again(e.store));
  const auto beyond = [&](const entry& e, std::uint64_t now, std::uint64_t limit) {
    return e.waits ? now > open_again(limit) : now >= limit;
  };
  for (auto& e : entries_)
    e.waits = (!e.drops && beyond(e, find(used, e.name), e.own)) || (!can_make_room(e) && beyond(e, total, e.store));
}

// -- give_way_order -----------------------------------------------------------------------------------------------------

bool give_way_order::takes(seq_range batch, std::uint64_t bytes) {
  const bool goes = !thin_ || taking_;
  next_ = batch.last + 1;
  took_ = took_ || goes;
  filled_ += bytes;
  if (filled_ >= stretch) {
    filled_ = 0;
    taking_ = !taking_;
  }
  return goes;
}

void give_way_order::end() {
  taking_ = !took_;
  next_ = 1;
  filled_ = 0;
  took_ = false;
}

} // namespace holdfast::store
