// What a dispatch_plan has waiting and on its way.

#include "services/store/dispatch_plan.hpp"

namespace holdfast::store {

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

std::uint64_t dispatch_plan::in_flight_bytes(const std::string& link) const {
  const auto it = links_.find(link);
  return it == links_.end() ? 0 : it->second.in_flight;
}

std::uint64_t dispatch_plan::coming_bytes(const std::string& link) const {
  std::uint64_t n = 0;
  if (const auto it = links_.find(link); it != links_.end())
    for (auto& [batch, s] : it->second.carries)
      n += wire_bytes(s.bytes);
  return n;
}

std::optional<std::uint64_t> dispatch_plan::oldest(const std::string& record_class) const {
  auto* l = find(record_class);
  return l == nullptr ? std::nullopt : l->oldest();
}

std::vector<std::string> dispatch_plan::holders(const std::string& record_class, std::uint64_t first) const {
  auto* l = find(record_class);
  return l == nullptr ? std::vector<std::string>{} : l->holders(first);
}

bool dispatch_plan::carries(const std::string& link, const std::string& record_class) const {
  const auto at = links_.find(link);
  if (at == links_.end())
    return false;
  const auto s = at->second.carries.lower_bound({record_class, 0});
  return s != at->second.carries.end() && s->first.first == record_class;
}

bool dispatch_plan::idle(const std::string& record_class) const {
  auto* l = find(record_class);
  return l == nullptr || (checked_ && !foreign_ && !l->has_leases());  // comparisons hold all else up
}

} // namespace holdfast::store
