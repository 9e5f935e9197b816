// Which links a class goes over, and over which of them the same batch goes twice.

#include "services/store/dispatch_plan.hpp"

#include <algorithm>

namespace holdfast::store {

namespace {
bool holds(const std::vector<std::string>& v, const std::string& s) {
  return std::find(v.begin(), v.end(), s) != v.end();
}
} // namespace

void dispatch_plan::route(const std::string& record_class, const link::route& r) {
  auto* l = find(record_class);
  if (l == nullptr)
    return;
  l->over = way{r.carriers, r.carriers, r.trial};
  if (!r.trial.empty() && !r.carriers.empty()) {
    auto& [leads, same, trial] = *l->over;
    same = {r.carriers.front(), trial};  // two have it at most
    std::erase_if(leads, [&](auto& link) { return !holds(l->over->same, link); });
  }
  complete(*l);
  note_carriers();
}

// Whether what is leased, the batch or its comparison, is on its way there, whoever its lease counts for.
delivery_lane::has_batch dispatch_plan::has(const lane& l, const link_state& link) {
  return [&](std::uint64_t first) {
    const auto s = link.carries.find({l.what.name, first});
    return s != link.carries.end() && s->second.check == l.checks(first);
  };
}

// What is on its way is on its way over all that carry it now.
void dispatch_plan::complete(lane& l) {
  if (!l.over)
    return;
  for (auto& [link, state] : links_) {
    if (!holds(l.over->same, link)) {
      l.no_copies(link);
      continue;
    }
    l.make_way(link, l.over->same, has(l, state));
    l.want_copies(link);
  }
}

void dispatch_plan::release(const std::string& link) {
  const auto it = links_.find(link);
  if (it == links_.end())
    return;
  it->second = {.window = it->second.window, .resting = true};
  for (auto& l : lanes_) {
    l.link_down(link);
    complete(l);
  }
  note_checks();
}

void dispatch_plan::resume(const std::string& link) {
  if (const auto it = links_.find(link); it != links_.end())
    it->second.resting = false;
}

void dispatch_plan::share(const std::string& from) {
  for (auto& l : lanes_)
    for (auto& [link, state] : links_)
      if (link != from && (!l.over || holds(l.over->same, link)))
        l.want_copies(link, from);
}

// A link of its route is ready.
bool dispatch_plan::can_go(const lane& l) const {
  return l.over ? std::any_of(l.over->leads.begin(), l.over->leads.end(), [&](auto& link) { return ready(link); })
                : any_ready();
}

bool dispatch_plan::may(const lane& l, kind how, const std::string& link) const {
  if (!l.over || holds(l.over->leads, link))
    return true;
  return (how == kind::check || how == kind::gap) && !can_go(l);
}

void dispatch_plan::note_carriers() {
  for (auto& l : lanes_)
    if (l.over && !can_go(l))
      l.no_carrier();
}

} // namespace holdfast::store
