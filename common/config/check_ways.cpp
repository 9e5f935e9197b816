// Whether each class has a way to the destinations that want it, and each link what it needs for that.

#include "common/config/load.hpp"
#include "common/config/units.hpp"
#include "common/link/byte_budget.hpp"

#include <algorithm>

namespace holdfast::config::detail {

namespace {

constexpr bytes slowest = kib(1);  // a batch of the usual 256 KiB takes four minutes

/// An empty list has all.
bool has(const std::vector<std::string>& list, const std::string& name) {
  return list.empty() || std::find(list.begin(), list.end(), name) != list.end();
}

class way_checker {
public:
  way_checker(const gateway& value, const places& where, report& to) : value_(value), where_(where), to_(to) {}

  void run() const {
    for (const auto& d : value_.destinations)
      reached(d);
    for (const auto& c : value_.classes)
      twice(c);
    for (const auto& l : value_.links) {
      own_address(l);
      if (l.bandwidth.count > 0 && l.bandwidth.count < slowest.count)
        to_.add(at(&l.bandwidth, &l), "bandwidth: at least " + to_text(slowest) + " per second, or 0: no cap");
      if (l.budget_day.count > 0 && l.budget_month.count > 0 && l.budget_month.count < l.budget_day.count)
        to_.add(at(&l.budget_month, &l), "budget_month is smaller than budget_day");
      budget(l, "budget_day", l.budget_day);
      budget(l, "budget_month", l.budget_month);
    }
  }

private:
  place at(const void* field, const void* section) const {
    auto found = where_.find(field);
    found = found == where_.end() ? where_.find(section) : found;
    return found == where_.end() ? place{} : found->second;
  }

  static bool may_carry(const link& l, const record_class& c, const destination& d) {
    return l.destination == d.name && has(d.classes, c.name) && has(l.classes, c.name) && has(c.links, l.name);
  }

  /// What is not delivered fills the store until its producers wait.
  void reached(const destination& d) const {
    const auto& links = value_.links;
    if (std::none_of(links.begin(), links.end(), [&](const link& l) { return l.destination == d.name; })) {
      if (!d.name.empty() && !astray())
        to_.add(at(&d.name, &d),
                "no link leads to destination " + quoted(d.name) + "; its records would fill the store");
      return;
    }
    for (const auto& c : value_.classes)
      if (has(d.classes, c.name)
          && std::none_of(links.begin(), links.end(), [&](const link& l) { return may_carry(l, c, d); }))
        to_.add(at(&c.name, &d), "class " + quoted(c.name) + " has no link to destination " + quoted(d.name));
  }

  /// A link's destination is missing or unknown, which has been reported: it may be meant for this one.
  bool astray() const {
    const auto& all = value_.destinations;
    return std::any_of(value_.links.begin(), value_.links.end(), [&](const link& l) {
      return std::none_of(all.begin(), all.end(), [&](const destination& d) { return d.name == l.destination; });
    });
  }

  /// A class that goes over two links needs two of them, at one destination at least.
  void twice(const record_class& c) const {
    std::ptrdiff_t most = 0;
    for (const auto& d : value_.destinations)
      most = std::max(most, std::count_if(value_.links.begin(), value_.links.end(),
                                          [&](const link& l) { return may_carry(l, c, d); }));
    if (c.duplicate && most == 1)
      to_.add(at(&c.duplicate, &c), "duplicate: only one link may carry class " + quoted(c.name));
  }

  void own_address(const link& l) const {
    const auto own = ip_version(l.source_address);
    const auto other = ip_version(l.connect.host);
    if (own != 0 && other != 0 && own != other)
      to_.add(at(&l.source_address, &l),
              "source_address is of IPv" + std::to_string(own) + ", and " + l.connect.host + " is not");
  }

  /// What is larger than the whole budget never goes, and what is behind it waits for ever.
  void budget(const link& l, const std::string& key, const bytes& limit) const {
    if (limit.count == 0)
      return;
    auto settings = l.tuning.budget;
    settings.day = limit.count;
    const holdfast::link::byte_budget whole(settings);
    for (const auto& s : value_.sources) {
      const auto c = std::find_if(value_.classes.begin(), value_.classes.end(),
                                  [&](const record_class& entry) { return entry.name == s.record_class; });
      const bool used = c != value_.classes.end()
                        && std::any_of(value_.destinations.begin(), value_.destinations.end(),
                                       [&](const destination& d) { return may_carry(l, *c, d); });
      const auto batch = largest_batch(s);
      const auto wire = whole.wire_bytes(batch.count);
      if (used && !whole.has_room(c->when_spent, wire))
        return to_.add(at(&limit, &l), key + " is too small for the largest batch of source " + quoted(s.name) + ", "
                                         + std::to_string(wire) + " bytes on the wire; its batch size is "
                                         + to_text(s.batch.size));
    }
  }

  const gateway& value_;
  const places& where_;
  report& to_;
};

} // namespace

void check_ways(const gateway& value, const places& where, report& to) { way_checker{value, where, to}.run(); }

} // namespace holdfast::config::detail
