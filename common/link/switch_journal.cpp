#include "common/link/switch_journal.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::link {

switch_journal::switch_journal(std::size_t capacity, std::deque<switch_entry> kept)
    : capacity_(std::max<std::size_t>(capacity, 1)), entries_(std::move(kept)) {
  bound();
}

void switch_journal::bound() {
  while (entries_.size() > capacity_)
    entries_.pop_front();
}

void switch_journal::add(switch_entry entry, time_point now) {
  auto& p = classes_[entry.record_class];
  // A second switch before anything arrived prolongs the same gap.
  if (p.waits_for.empty())
    p.before = p.last.value_or(now);
  p.waits_for = entry.to;
  if (entry.from.empty() && !p.last)
    p.waits_for.clear();  // the first link of this life: nothing stood still
  entries_.push_back(std::move(entry));
  ++count_;
  bound();
}

bool switch_journal::resolve(const std::string& record_class, const std::string& kind, const std::string& cause) {
  bool found = false;
  for (auto& e : entries_) {
    if (e.record_class != record_class || e.kind != "diverted")
      continue;
    e.kind = kind;
    e.cause = cause;
    found = true;
  }
  if (found && kind == "returned")
    classes_[record_class].waits_for.clear();  // the old link goes on: nothing of the new one is waited for
  return found;
}

bool switch_journal::delivered(const std::string& record_class, const std::string& over, time_point now) {
  auto& p = classes_[record_class];
  p.last = now;
  if (p.waits_for.empty() || over != p.waits_for)
    return false;
  p.waits_for.clear();
  const auto at = std::find_if(entries_.rbegin(), entries_.rend(),
                               [&](const switch_entry& e) { return e.record_class == record_class; });
  if (at != entries_.rend())
    at->gap = std::chrono::duration_cast<milliseconds>(now - *p.before);
  return true;
}

} // namespace holdfast::link
