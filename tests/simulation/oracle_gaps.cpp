// The model, what gave way on purpose, and the sums at the end.

#include "tests/simulation/oracle.hpp"

#include "holdfast/v1/record.pb.h"

#include <algorithm>

namespace holdfast::simulation {

namespace {

template <class... Args> [[noreturn]] void broken(fmt::format_string<Args...> text, Args&&... args) {
  throw violation(fmt::format(text, std::forward<Args>(args)...));
}

} // namespace

// -- what gave way ----------------------------------------------------------------------------------------------------

void oracle::dropped(const std::string& record_class, seq_range r, std::uint32_t reason, time_point now) {
  const auto& rules = rules_.at(record_class);
  const auto& given = batches_[record_class];
  const auto b = given.find(r.first);
  if (b == given.end() || b->second.last != r.last || dropped_[record_class].touches(r))
    broken("contract 5: {} to {} of class {} give way, which is no batch that is held", r.first, r.last, record_class);
  if (reason == v1::GAP_REASON_DISPLACED && !rules.drops)
    broken("contract 5: {} to {} of class {}, which rejects, give way", r.first, r.last, record_class);
  if (reason == v1::GAP_REASON_EXPIRED && (rules.ttl == duration(0) || now - b->second.stored < rules.ttl))
    broken("contract 5: {} to {} of class {} expire too early", r.first, r.last, record_class);
  dropped_[record_class].insert(r);
  untold_[record_class].insert(r);
  --kept_[record_class];
}

// As a batch: only when every destination has it, be it as a record that was on its way.
void oracle::gap_removed(const std::string& record_class, seq_range r) {
  for (auto& [destination, classes] : wants_)
    if (classes.contains(record_class))
      if (const auto at = centre_.find({destination, record_class}); at == centre_.end() || !at->second.ever(r))
        broken("contract 5: the gap {} to {} of class {} is removed and {} was not told", r.first, r.last, record_class,
               destination);
  untold_[record_class].erase(r);
}

// Reasons of gaps side by side become one.
void oracle::take_dropped(const arrival& a, origin_state& o) {
  const auto& rules = rules_.at(a.record_class);
  if (!dropped_[a.record_class].contains(a.seqs))
    broken("contract 5: {} gets a gap for {} to {} of class {}, which did not give way", a.destination, a.seqs.first,
           a.seqs.last, a.record_class);
  if (a.gap_reason == v1::GAP_REASON_DISPLACED ? !rules.drops : rules.ttl == duration(0))
    broken("contract 5: {} gets a gap for {} to {} of class {} for a reason that it cannot have", a.destination,
           a.seqs.first, a.seqs.last, a.record_class);
  if (a.epoch == 1 && o.has.touches(a.seqs))
    broken("contract 3: {} is told of {} to {} of class {}, which it has", a.destination, a.seqs.first, a.seqs.last,
           a.record_class);
  for (auto& r : o.has.outside(a.seqs)) {
    o.has.insert(r);
    o.told.insert(r);
  }
}

std::uint64_t oracle::gave_way() const {
  std::uint64_t sum = 0;
  for (auto& [record_class, all] : dropped_)
    sum += all.count();
  return sum;
}

// -- the end ----------------------------------------------------------------------------------------------------------

bool oracle::complete() const { return missing().empty(); }

std::string oracle::missing() const {
  for (auto& [record_class, n] : kept_)
    if (n != 0)
      return fmt::format("{} batches of class {} are still in the store", n, record_class);
  for (auto& [record_class, gaps] : untold_)
    if (!gaps.empty())
      return fmt::format("gaps of class {} are still in the store", record_class);
  for (auto& [destination, classes] : wants_)
    for (auto& c : classes) {
      const auto head = heads_.find(c);
      if (head == heads_.end() || head->second == 0)
        continue;
      const auto at = centre_.find({destination, c});
      if (const auto has = at == centre_.end() ? 0 : at->second.has.count(); has != head->second)
        return fmt::format("{} has {} of {} records of class {}", destination, has, head->second, c);
    }
  for (auto& [name, s] : streams_)
    if (s.rules.repeats && s.last != s.made)
      return fmt::format("{} of {} records of {} are stored", s.last, s.made, name);
  return {};
}

void oracle::count() const {
  for (auto& [name, s] : streams_) {
    const auto told = s.stored + s.gaps;
    if (told > s.made || told + s.forgiven < s.made)
      broken("contract 5: {} records of {} were produced; {} are delivered and {} told as gaps; {} may be lost with "
             "their process", s.made, name, s.stored, s.gaps, s.forgiven);
  }
  for (auto& [key, o] : centre_)
    if (const auto head = heads_.find(key.second); head != heads_.end()
        && o.records + o.told.count() + o.gaps.count() != head->second)
      broken("contract 5: {} records of class {} were stored; {} has {}, {} told as gaps and {} confirmed before",
             head->second, key.second, key.first, o.records, o.told.count(), o.gaps.count());
}

} // namespace holdfast::simulation
