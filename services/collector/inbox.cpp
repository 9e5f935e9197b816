#include "services/collector/inbox.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace holdfast::collector {

namespace {

// Becomes part of a range that is there.
bool joins(const range_set& has, seq_range r) {
  constexpr auto top = std::numeric_limits<std::uint64_t>::max();
  return has.touches({r.first > 0 ? r.first - 1 : 0, r.last < top ? r.last + 1 : top});
}

} // namespace

const range_set* inbox::find(const origin& o) const {
  auto store = stores_.find({o.gateway, o.epoch});
  if (store == stores_.end())
    return nullptr;
  auto it = store->second.find(o.record_class);
  return it == store->second.end() ? nullptr : &it->second;
}

void inbox::insert(const origin& o, seq_range r) {
  auto [it, fresh] = stores_[{o.gateway, o.epoch}].try_emplace(o.record_class);
  origins_ += fresh ? 1 : 0;
  ranges_ -= it->second.pieces();
  it->second.insert(r);
  ranges_ += it->second.pieces();
}

void inbox::load(const origin& o, const std::vector<seq_range>& ranges) {
  for (auto& r : ranges)
    insert(o, r);
}

inbox::verdict inbox::take(const origin& o, seq_range r) {
  const auto found = look(o, r);
  if (found != verdict::fresh)
    return found;
  const auto* has = find(o);
  if (has == nullptr) {
    if (origins_ >= limits_.origins)
      return verdict::too_many_origins;
    auto store = stores_.find({o.gateway, o.epoch});
    if (store != stores_.end() && store->second.size() >= limits_.classes)
      return verdict::too_many_classes;
  } else if ((has->pieces() >= limits_.ranges || holes() >= limits_.holes) && !joins(*has, r)) {
    return verdict::too_many_ranges;
  }
  insert(o, r);
  return verdict::fresh;
}

inbox::verdict inbox::look(const origin& o, seq_range r) const {
  const auto* has = find(o);
  if (has == nullptr || !has->touches(r))
    return verdict::fresh;
  return has->contains(r) ? verdict::duplicate : verdict::overlap;
}

std::vector<seq_range> inbox::missing(const origin& o, seq_range r) const {
  const auto* has = find(o);
  return has == nullptr ? std::vector<seq_range>{r} : has->outside(r);
}

void inbox::give_back(const origin& o, seq_range r) {
  auto store = stores_.find({o.gateway, o.epoch});
  if (store == stores_.end())
    return;
  auto it = store->second.find(o.record_class);
  if (it == store->second.end())
    return;
  ranges_ -= it->second.pieces();
  it->second.erase(r);
  ranges_ += it->second.pieces();
  if (!it->second.empty())
    return;
  --origins_;
  store->second.erase(it);
  if (store->second.empty())
    stores_.erase(store);
}

std::vector<seq_range> inbox::ranges(const origin& o) const {
  const auto* has = find(o);
  return has == nullptr ? std::vector<seq_range>{} : has->ranges();
}

namespace {

// The first ranges of each class, `room` of them together.
std::map<std::string, std::vector<seq_range>> told(const std::map<std::string, range_set>& all, std::size_t room) {
  std::map<std::string, std::vector<seq_range>> out;
  for (auto& [record_class, has] : all) {
    auto ranges = has.ranges();
    ranges.resize(std::min(ranges.size(), room));
    room -= ranges.size();
    if (!ranges.empty())
      out.emplace(record_class, std::move(ranges));
  }
  return out;
}

} // namespace

std::map<std::string, std::vector<seq_range>> inbox::present(const std::string& gateway, std::uint64_t epoch) const {
  const auto store = stores_.find({gateway, epoch});
  return store == stores_.end() ? told({}, 0) : told(store->second, limits_.told);
}

std::map<std::string, std::vector<seq_range>> inbox::elsewhere(const std::string& gateway, std::uint64_t epoch) const {
  classes sum;
  for (auto store = stores_.lower_bound({gateway, 0}); store != stores_.end() && store->first.first == gateway; ++store)
    if (store->first.second != epoch)
      for (auto& [record_class, has] : store->second)
        for (auto& r : has.ranges())
          sum[record_class].insert(r);
  return told(sum, limits_.told / 4);
}

std::string inbox::limit_text(verdict v) const {
  switch (v) {
    case verdict::too_many_classes: return fmt::format("more than {} classes of one gateway", limits_.classes);
    case verdict::too_many_origins: return fmt::format("more than {} gateways, epochs and classes", limits_.origins);
    case verdict::too_many_ranges:
      return fmt::format("more holes than the collector remembers: {} ranges in a class, {} holes in all",
                         limits_.ranges, limits_.holes);
    default: return {};
  }
}

} // namespace holdfast::collector
