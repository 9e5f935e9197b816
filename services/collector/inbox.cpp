#include "services/collector/inbox.hpp"

namespace holdfast::collector {

void inbox::load(const origin& o, const std::vector<seq_range>& ranges) {
  for (auto& r : ranges)
    origins_[o].insert(r);
}

inbox::verdict inbox::take(const origin& o, seq_range r) {
  const auto found = look(o, r);
  if (found == verdict::fresh)
    origins_[o].insert(r);
  return found;
}

std::vector<seq_range> inbox::take_missing(const origin& o, seq_range r) {
  auto& has = origins_[o];
  auto missing = has.outside(r);
  has.insert(r);
  return missing;
}

inbox::verdict inbox::look(const origin& o, seq_range r) const {
  const auto it = origins_.find(o);
  if (it == origins_.end() || !it->second.touches(r))
    return verdict::fresh;
  return it->second.contains(r) ? verdict::duplicate : verdict::overlap;
}

void inbox::give_back(const origin& o, seq_range r) { origins_[o].erase(r); }

std::vector<seq_range> inbox::ranges(const origin& o) const {
  auto it = origins_.find(o);
  return it == origins_.end() ? std::vector<seq_range>{} : it->second.ranges();
}

std::map<std::string, std::vector<seq_range>> inbox::present(const std::string& gateway, std::uint64_t epoch) const {
  std::map<std::string, std::vector<seq_range>> out;
  for (auto it = origins_.lower_bound({gateway, epoch, {}});
       it != origins_.end() && it->first.gateway == gateway && it->first.epoch == epoch; ++it)
    out[it->first.record_class] = it->second.ranges();
  return out;
}

} // namespace holdfast::collector
