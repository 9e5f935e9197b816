// Whether each class has a way to the destinations that want it.

#include "common/config/load.hpp"

#include <algorithm>

namespace holdfast::config::detail {

namespace {

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
        to_.add(at(&d.name, &d), "no link leads to destination " + quoted(d.name) + "; its records would fill the store");
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

  const gateway& value_;
  const places& where_;
  report& to_;
};

} // namespace

void check_ways(const gateway& value, const places& where, report& to) { way_checker{value, where, to}.run(); }

} // namespace holdfast::config::detail
