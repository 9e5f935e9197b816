#include "services/store/expiry.hpp"

namespace holdfast::store {

expiry::expiry(const std::vector<config::record_class>& classes, const v1::ExpiryRow& row, const std::string& boot_id,
               std::int64_t boottime, const std::map<std::string, std::uint64_t>& heads)
    : boot_id_(boot_id), base_(row.nanos() - (row.boot_id() == boot_id ? row.boottime_nanos() : boottime)) {
  for (auto& c : classes)
    if (c.ttl.count() > 0)
      classes_[c.name].ttl = std::chrono::nanoseconds(c.ttl).count();
  for (auto& m : row.marks())
    if (auto c = classes_.find(m.record_class()); c != classes_.end())
      c->second.marks.push_back({m.last_seq(), m.nanos(), m.nanos()});
  for (auto& [name, c] : classes_) {
    const auto head = heads.find(name);
    if (head != heads.end() && head->second > (c.marks.empty() ? 0 : c.marks.back().last))
      c.marks.push_back({head->second, now(boottime), now(boottime)});
  }
}

bool expiry::stored(const std::string& record_class, std::uint64_t head, std::int64_t boottime) {
  const auto found = classes_.find(record_class);
  if (found == classes_.end())
    return false;
  auto& [ttl, marks] = found->second;
  const auto at = now(boottime);
  if (!marks.empty() && at - marks.back().begin < ttl / marks_per_ttl)
    marks.back() = {head, marks.back().begin, at};
  else
    marks.push_back({head, at, at});
  return true;
}

std::map<std::string, std::uint64_t> expiry::due(std::int64_t boottime) const {
  std::map<std::string, std::uint64_t> out;
  for (auto& [name, c] : classes_)
    for (auto& m : c.marks) {
      if (now(boottime) - m.newest < c.ttl)
        break;
      out[name] = m.last;
    }
  return out;
}

void expiry::done(const std::string& record_class, std::uint64_t last) {
  const auto c = classes_.find(record_class);
  while (c != classes_.end() && !c->second.marks.empty() && c->second.marks.front().last <= last)
    c->second.marks.pop_front();
}

v1::ExpiryRow expiry::row(std::int64_t boottime) const {
  v1::ExpiryRow out;
  out.set_boot_id(boot_id_);
  out.set_boottime_nanos(boottime);
  out.set_nanos(now(boottime));
  for (auto& [name, c] : classes_)
    for (auto& m : c.marks) {
      auto& to = *out.add_marks();
      to.set_record_class(name);
      to.set_last_seq(m.last);
      to.set_nanos(m.newest);
    }
  return out;
}

} // namespace holdfast::store
