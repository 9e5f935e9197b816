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
    lanes_.emplace_back(c);
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
    l->stored(r, any_ready());
}

// -- sessions -----------------------------------------------------------------------------------------------------------

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
  return checked_ && std::none_of(lanes_.begin(), lanes_.end(), [](auto& l) { return l.has_leases(); });
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
  for (auto& l : lanes_)
    l.unpark();
}

void dispatch_plan::link_down(const std::string& link) {
  links_.erase(link);
  for (auto& l : lanes_) {
    l.link_down(link);
    if (links_.empty())
      l.no_links();
  }
  foreign_ = foreign_ && any_ready();
  note_checks();
}

// -- what goes next -----------------------------------------------------------------------------------------------------

const dispatch_plan::lane* dispatch_plan::first_with(kind how) const {
  auto it = std::find_if(lanes_.begin(), lanes_.end(), [&](auto& l) { return l.front(how).has_value(); });
  return it == lanes_.end() ? nullptr : &*it;
}

std::optional<dispatch_plan::order> dispatch_plan::next(bool checks_only) const {
  auto link = std::find_if(links_.begin(), links_.end(), [](auto& l) { return l.second.room(); });
  if (link == links_.end())
    return std::nullopt;
  const auto from = [&](const lane* l, kind how) {
    return l == nullptr ? std::nullopt : std::optional(order{link->first, l->what.name, *l->front(how), how});
  };
  if (auto* claimed = first_with(kind::check))
    return from(claimed, kind::check);
  if (checks_only || !checked_)  // until the last answer: what goes now may have to go under another epoch
    return std::nullopt;
  if (auto* lost = first_with(kind::gap))
    return from(lost, kind::gap);
  const auto* live = first_with(kind::live);
  const auto* backlog = first_with(kind::backlog);
  // A more urgent class's backlog goes before a lesser one's live records.
  const bool backlog_turn = backlog != nullptr && link->second.backlog_room()
                            && (live == nullptr || backlog_credit_ > 0 || backlog->what.priority < live->what.priority);
  return backlog_turn ? from(backlog, kind::backlog) : from(live, kind::live);
}

void dispatch_plan::leased(const order& o, seq_range batch, std::uint64_t bytes, clock::time_point now) {
  auto& link = links_[o.link];
  find(o.record_class)->leased(batch, {o.link, batch.last, bytes, o.how, link.pace.leased(bytes, now)});
  link.in_flight += bytes;
  const bool historical = o.how == kind::backlog;
  link.backlog_in_flight += historical ? bytes : 0;
  const auto weight = static_cast<double>(bytes);
  if (historical)
    backlog_credit_ = std::max(backlog_credit_ - weight, -max_credit);
  else if (first_with(kind::backlog) != nullptr)  // contested
    backlog_credit_ = std::min(backlog_credit_ + weight * share_, max_credit);
}

void dispatch_plan::completed(const delivery_lane::lease& l, clock::time_point now) {
  auto link = links_.find(l.link);
  if (link == links_.end())
    return;
  link->second.in_flight -= l.bytes;
  link->second.backlog_in_flight -= l.how == kind::backlog ? l.bytes : 0;
  link->second.pace.acknowledged(l.mark, now);
}

std::vector<seq_range> dispatch_plan::acknowledged(const std::string& record_class, seq_range r, clock::time_point now) {
  std::vector<seq_range> out;
  if (auto* l = find(record_class)) {
    for (auto& [first, complete] : l->acknowledged(r)) {
      completed(complete, now);
      out.push_back({first, complete.last});
    }
    checked_ = l->checked() && checked_;
  }
  note_checks();
  return out;
}

void dispatch_plan::confirmed(const std::string& record_class, seq_range r) {
  if (auto* l = find(record_class))
    l->confirmed(r);
  note_checks();
}

void dispatch_plan::rejected(const std::string& record_class, std::uint64_t first, rejection why, clock::time_point now) {
  auto* l = find(record_class);
  if (l == nullptr)
    return;
  // Whoever misses what was not a comparison will miss it the next time, too.
  const bool aside = why == rejection::aside || (why == rejection::missing && !l->checks(first));
  const auto lease = l->rejected(first, aside);
  if (!lease)
    return;
  completed(*lease, now);
  foreign_ = foreign_ || why == rejection::conflict;
  note_checks();
}

// -- figures ------------------------------------------------------------------------------------------------------------

std::uint64_t dispatch_plan::sum(std::uint64_t (delivery_lane::*of)() const noexcept) const {
  std::uint64_t n = 0;
  for (auto& l : lanes_)
    n += (l.*of)();
  return n;
}

std::uint64_t dispatch_plan::backlog_records() const { return sum(&delivery_lane::backlog_records); }
std::uint64_t dispatch_plan::live_records() const { return sum(&delivery_lane::live_records); }
std::uint64_t dispatch_plan::parked_records() const { return sum(&delivery_lane::parked_records); }

std::uint64_t dispatch_plan::in_flight_bytes() const {
  std::uint64_t n = 0;
  for (auto& [name, link] : links_)
    n += link.in_flight;
  return n;
}

std::optional<std::uint64_t> dispatch_plan::oldest(const std::string& record_class) const {
  auto* l = find(record_class);
  return l == nullptr ? std::nullopt : l->oldest();
}

} // namespace holdfast::store
