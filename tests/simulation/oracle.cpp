#include "tests/simulation/oracle.hpp"

#include "holdfast/v1/record.pb.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace holdfast::simulation {

namespace {

template <class... Args> [[noreturn]] void broken(fmt::format_string<Args...> text, Args&&... args) {
  throw violation(fmt::format(text, std::forward<Args>(args)...));
}

} // namespace

// -- the field --------------------------------------------------------------------------------------------------------

void oracle::made(const std::string& stream, std::uint64_t n) {
  auto& s = streams_.at(stream);
  s.made = std::max(s.made, n);
}

void oracle::told_device(const std::string& stream, std::uint64_t count) const {
  if (const auto& s = streams_.at(stream); count > s.last)
    broken("contract 1: device of {} was told that {} records are stored; {} are", stream, count, s.last);
}

void oracle::acquisition_ended() {
  for (auto& [name, s] : streams_)
    if (!s.rules.repeats)
      s.forgiven = s.made - s.stored - s.gaps;
}

// -- the store --------------------------------------------------------------------------------------------------------

void oracle::stored(const std::string& producer, std::uint64_t seq, const std::string& record_class, seq_range r,
                    std::uint32_t crc, const blob& payload, time_point now) {
  if (auto& n = batches_of_[producer]; seq != ++n)
    broken("contract 2: batch {} of {} is stored where batch {} is due", seq, producer, n);
  auto& head = heads_[record_class];
  if (r.first != head + 1)
    broken("numbers of class {}: {} is given after {}", record_class, r.first, head);
  head = r.last;
  v1::Batch decoded;
  if (!decoded.ParseFromArray(payload.data(), static_cast<int>(payload.size())))
    broken("a stored batch is not a v1.Batch");
  batch b{r.last, crc, payload, now, {}};
  for (auto& rec : decoded.records()) {
    const auto at = streams_.find(decoded.streams(static_cast<int>(rec.stream())));
    auto& s = at->second;
    if (rec.has_gap()) {
      s.gaps += rec.gap().count();
      b.records.push_back({&at->first, 0});
      continue;
    }
    const auto n = std::stoull(rec.data());
    if (n <= s.last)
      broken("contract 2: record {} of {} is stored after record {}", n, at->first, s.last);
    if (s.rules.repeats && n != s.last + 1)
      broken("contract 1: record {} of {} is stored after record {}; what is between is lost", n, at->first, s.last);
    s.last = n;
    ++s.stored;
    b.records.push_back({&at->first, n});
  }
  if (b.records.size() != r.count())
    broken("batch {} of class {} has {} records and {} numbers", r.first, record_class, b.records.size(), r.count());
  records_ += b.records.size();
  batches_[record_class].emplace(r.first, std::move(b));
  ++kept_[record_class];
}

void oracle::producer_row(const std::string& producer, std::uint64_t seq) { rows_[producer] = seq; }

void oracle::acknowledged(const std::string& producer, std::uint64_t seq) const {
  const auto has = batches_of_.find(producer);
  const auto row = rows_.find(producer);
  if (seq > 0 && (has == batches_of_.end() || seq > has->second || row == rows_.end() || seq > row->second))
    broken("contract 1: batch {} of {} is acknowledged and not on disk", seq, producer);
}

void oracle::removed(const std::string& record_class, seq_range r) {
  for (auto& [destination, classes] : wants_)
    if (classes.contains(record_class)) {
      const auto at = centre_.find({destination, record_class});
      if (at == centre_.end() || !at->second.ever(r))
        broken("contract 5: batch {} to {} of class {} is removed and {} does not have it", r.first, r.last,
               record_class, destination);
    }
  --kept_[record_class];
}

void oracle::delivery_row(const std::string& destination, const std::string& record_class,
                          const std::vector<seq_range>& all) {
  for (auto& r : all)
    confirmed(destination, record_class, r);
}

void oracle::reopened(const std::string& record_class, std::size_t batches) const {
  const auto at = kept_.find(record_class);
  if (const auto due = at == kept_.end() ? 0 : at->second; due != batches)
    broken("contract 1: {} batches of class {} are on disk, {} were stored and not removed", batches, record_class,
           due);
}

// -- leases -----------------------------------------------------------------------------------------------------------

void oracle::leased(const std::string& destination, const std::string& link, const std::string& record_class,
                    seq_range r, bool backlog, const std::vector<std::string>& before,
                    const std::vector<std::string>& after) {
  const auto holds = [&](auto& all) { return std::find(all.begin(), all.end(), link) != all.end(); };
  if (holds(before))
    broken("contract 6: batch {} of class {} is leased to link {} twice", r.first, record_class, link);
  if (after.size() > 2 || !holds(after))
    broken("contract 6: batch {} of class {} goes over link {} and {} have its leases", r.first, record_class, link,
           fmt::join(after, ", "));
  leases_[{destination, record_class, r.first}][link] = backlog;
  held_[{destination, link}].insert({record_class, r.first});
  granted_[link].batches.insert({record_class, r.first});
}

void oracle::written(const std::string& link, connection_id id, const std::string& record_class,
                     std::uint64_t first) const {
  const auto at = granted_.find(link);
  if (at == granted_.end() || at->second.to != id || !at->second.batches.contains({record_class, first}))
    broken("contract 6: batch {} of class {} goes over a connection of link {} that has no lease of it", first,
           record_class, link);
}

void oracle::sent(const std::string& destination, const std::string& record_class, std::uint64_t first, bool backlog) {
  const lease_key key{destination, record_class, first};
  if (backlog)
    backlog_since_.emplace(key, backlog_since_.size());
  else
    was_live_.insert(key);
}

void oracle::lease_over(const std::string& destination, const std::string& link, const std::string& record_class,
                        seq_range r) {
  held_[{destination, link}].erase({record_class, r.first});
  if (const auto at = leases_.find({destination, record_class, r.first}); at != leases_.end())
    if (at->second.erase(link); at->second.empty())
      leases_.erase(at);
}

void oracle::leases_over(const std::string& destination, const std::string& link) {
  const auto mine = held_.find({destination, link});
  if (mine == held_.end() || mine->second.empty())
    return;
  for (auto& [record_class, first] : std::exchange(mine->second, {}))
    lease_over(destination, link, record_class, {first, first});
}

void oracle::complete(const std::string& destination, const std::string& record_class, seq_range r) {
  const auto at = leases_.find({destination, record_class, r.first});
  if (at == leases_.end())
    return;
  for (auto& [link, backlog] : std::map(at->second))
    lease_over(destination, link, record_class, r);
}

bool oracle::lease_held(const std::string& destination, const std::string& link, const std::string& record_class,
                        std::uint64_t first, bool backlog) const {
  const auto at = leases_.find({destination, record_class, first});
  if (at == leases_.end())
    return false;
  const auto held = at->second.find(link);
  return held != at->second.end() && held->second == backlog;  // what went live before is not what is leased now
}

// -- the centre -------------------------------------------------------------------------------------------------------

bool oracle::origin_state::ever(seq_range r) const {
  const auto rest = has.outside(r);
  return std::all_of(rest.begin(), rest.end(), [&](auto& piece) { return had.contains(piece); });
}

void oracle::archive_lost(const std::string& destination) {
  lost_ = true;
  for (auto& [key, o] : centre_) {
    if (key.first != destination)
      continue;
    for (auto& r : o.has.ranges())
      o.had.insert(r);
    o.has.clear();
    o.gaps.clear();
    o.told.clear();
    o.records = 0;
    o.live.clear();
    o.backlog.clear();
  }
}

void oracle::archived(const arrival& a) {
  auto& o = centre_[{a.destination, a.record_class}];
  if (std::exchange(o.epoch, a.epoch) != a.epoch) {
    if (a.epoch != 1 && !lost_)
      broken("the store began another epoch without cause");
    o.live.clear();  // what was held goes once more
    o.backlog.clear();
  }
  if (a.gap_reason == v1::GAP_REASON_CONFIRMED_BEFORE && o.ever(a.seqs)) {
    for (auto& r : o.has.outside(a.seqs)) {
      o.has.insert(r);
      o.gaps.insert(r);
    }
    return;
  }
  if (a.gap_reason == v1::GAP_REASON_DISPLACED || a.gap_reason == v1::GAP_REASON_EXPIRED)
    return take_dropped(a, o);
  if (a.epoch != 1)
    for (auto& r : o.gaps.inside(a.seqs)) {  // it was held after all
      o.gaps.erase(r);
      o.has.erase(r);
    }
  if (o.has.touches(a.seqs))
    broken("contract 3: {} stores {} to {} of class {} twice", a.destination, a.seqs.first, a.seqs.last,
           a.record_class);
  o.has.insert(a.seqs);
  o.records += a.seqs.count();
  const auto& given = batches_[a.record_class];
  const auto b = given.find(a.seqs.first);
  if (b == given.end() || b->second.last != a.seqs.last)
    broken("{} stores {} to {} of class {}, which the store has not on disk", a.destination, a.seqs.first, a.seqs.last,
           a.record_class);
  if (a.gap_reason != 0)
    broken("contract 5: {} gets a gap for {} to {} of class {}, which nobody dropped", a.destination, a.seqs.first,
           a.seqs.last, a.record_class);
  if (b->second.crc != a.crc || b->second.payload.view() != a.payload.view())
    broken("{} stores other records as {} to {} of class {}", a.destination, a.seqs.first, a.seqs.last, a.record_class);
  auto& last = a.historical ? o.backlog : o.live;
  for (auto& rec : b->second.records) {
    if (rec.n == 0)
      continue;
    auto& newest = last[rec.stream];
    if (rec.n > newest.n) {
      newest = {rec.n, a.seqs.first, a.link};
      continue;
    }
    const lease_key mine{a.destination, a.record_class, a.seqs.first};
    const lease_key newer{a.destination, a.record_class, newest.first};
    const bool came_back = a.historical && was_live_.contains(mine) && backlog_since_[mine] > backlog_since_[newer];
    const bool outlived = a.link != newest.link && dropped_[a.record_class].contains(a.seqs);
    if (!came_back && !a.stray && !outlived)
      broken("contract 7: {} record {} of {} reaches {} after record {}", a.historical ? "backlog" : "live", rec.n,
             *rec.stream, a.destination, newest.n);
    ++(came_back ? returned_ : a.stray ? late_ : outlived_);
  }
}

void oracle::confirmed(const std::string& destination, const std::string& record_class, seq_range r) const {
  const auto at = centre_.find({destination, record_class});
  if (at == centre_.end() || !at->second.ever(r))
    broken("contract 1: {} to {} of class {} count as delivered and {} does not have them", r.first, r.last,
           record_class, destination);
}

} // namespace holdfast::simulation
