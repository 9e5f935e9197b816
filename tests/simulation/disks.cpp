#include "tests/simulation/disks.hpp"

#include <algorithm>
#include <set>

namespace holdfast::simulation {

// -- store ------------------------------------------------------------------------------------------------------------

store_file::store_file(world& w, store_disk& d, oracle& o, const std::vector<config::record_class>& classes)
    : w_(w), disk_(d), oracle_(o) {
  for (auto& c : classes) {
    heads_[c.name] = d.heads[c.name];
    if (c.overflow != config::overflow_rule::reject || c.ttl.count() > 0)
      yielding_.insert(c.name);
    o.reopened(c.name, batches_of(d.classes[c.name]));
  }
}

void store_file::load(store::producer_table& producers, store::delivery_state& delivery) const {
  for (auto& [name, row] : disk_.producers)
    producers.load(name, {.record_class = row.record_class, .committed = row.committed, .position = row.position});
  for (auto& [key, ranges] : disk_.delivery)
    delivery.load(key.first, key.second, ranges);
}

store::route_board::kept store_file::kept() const { return {disk_.links, disk_.journals}; }

// The batch that has seq, or the first one after it.
std::optional<store::batch> store_file::read_from(const std::string& record_class, std::uint64_t seq) const {
  const auto& table = disk_.classes.at(record_class);
  auto at = table.upper_bound(seq);
  if (at != table.begin() && std::prev(at)->second.seqs.last >= seq)
    --at;
  return at == table.end() ? std::nullopt : std::optional(at->second);
}

store::class_policy::sizes store_file::used() const {
  store::class_policy::sizes all;
  for (auto& [name, table] : disk_.classes)
    all[name] = yielding_.contains(name) ? bytes_of(table) : table.size() * row_bytes;
  return all;
}

seq_range store_file::update::append(const std::string& producer, std::uint64_t seq, const std::string& record_class,
                                     std::uint32_t count, std::uint32_t crc, const blob& payload) {
  auto& head = heads_.at(record_class);
  const seq_range r{head + 1, head + count};
  head = r.last;
  const store::batch row{record_class, r, crc, 0, payload};
  const bool yields = file_.yielding_.contains(record_class);
  if (yields)
    view(record_class)[r.first] = row;
  steps_.emplace_back([&f = file_, b = row, producer, seq, yields, now = file_.w_.now()] {
    if (!yields)
      f.disk_.classes[b.record_class][b.seqs.first] = b;
    if (!f.w_.has(defect::head_not_saved))
      f.disk_.heads[b.record_class] = b.seqs.last;
    f.oracle_.stored(producer, seq, b.record_class, b.seqs, b.crc, b.payload, now);
  });
  return r;
}

void store_file::update::producer(const std::string& name, const std::string& record_class, std::uint64_t last_seq,
                                  const std::string& position) {
  task row = [&f = file_, name, record_class, last_seq, position] {
    auto& p = f.disk_.producers[name];
    p.record_class = record_class;
    p.committed = last_seq;
    p.position = position;
    f.oracle_.producer_row(name, last_seq);
  };
  if (!file_.w_.has(defect::producer_row_late))
    return steps_.push_back(std::move(row));
  for (auto& earlier : file_.late_)
    steps_.push_back(earlier);
  file_.late_ = {std::move(row)};
}

void store_file::update::delivered(const std::string& destination, const std::string& record_class,
                                   const std::vector<seq_range>& all) {
  steps_.emplace_back([&f = file_, destination, record_class, all] {
    f.disk_.delivery[{destination, record_class}] = all;
    f.oracle_.delivery_row(destination, record_class, all);
  });
}

void store_file::update::link(const std::string& name, const v1::LinkRow& row) {
  steps_.emplace_back([&d = file_.disk_, name, row] { d.links[name] = row; });
}

void store_file::update::journal(const std::string& destination, const v1::JournalRow& row) {
  steps_.emplace_back([&d = file_.disk_, destination, row] { d.journals[destination] = row; });
}

void store_file::update::remove(const std::string& record_class, seq_range r) {
  if (file_.yielding_.contains(record_class))
    return remove_from(view(record_class), record_class, r);
  steps_.emplace_back([&f = file_, record_class, r] {
    auto& table = f.disk_.classes[record_class];
    for (auto at = table.lower_bound(r.first); at != table.end() && at->first <= r.last; at = table.erase(at))
      f.oracle_.removed(record_class, at->second.seqs);
  });
}

void store_file::update::expiry(const v1::ExpiryRow& row) {
  steps_.emplace_back([&d = file_.disk_, row] { d.expiry = row; });
}

void store_file::update::renew_epoch() {
  steps_.emplace_back([&d = file_.disk_] { ++d.epoch; });
}

void store_file::committed(const update& u) {
  for (auto& step : std::exchange(disk_.in_flight, {}))
    step();
  heads_ = u.heads_;
}

void crash(world& w, store_disk& d, const oracle& o) {
  const auto steps = std::exchange(d.in_flight, {});
  const bool reached = w.disk.yes(0.5);
  if (!steps.empty())
    w.trace("store disk", "the commit on its way {} there", reached ? "is" : "is not");
  if (reached)
    for (auto& step : steps)
      step();
  for (auto& [name, table] : d.classes)
    o.reopened(name, batches_of(table));
}

// -- archive ----------------------------------------------------------------------------------------------------------

void archive_disk::load(collector::inbox& into) const {
  for (auto& [o, ranges] : origins)
    into.load(o, ranges);
}

bool archive_disk::same(const collector::origin& o, seq_range r, std::uint32_t crc) const {
  const auto table = batches.find(o);
  if (table == batches.end())
    return false;
  const auto at = table->second.find(r.first);
  return at != table->second.end() && at->second.gap_reason == 0 && at->second.count == r.count()
         && at->second.crc == crc;
}

bool archive_disk::same_elsewhere(const collector::origin& o, seq_range r, std::uint32_t crc) const {
  return std::any_of(batches.begin(), batches.end(), [&](auto& entry) {
    auto& other = entry.first;
    return other.gateway == o.gateway && other.epoch != o.epoch && other.record_class == o.record_class
           && same(other, r, crc);
  });
}

void archive_disk::apply() {
  for (auto* steps : {&rows_in_flight, &batches_in_flight})
    for (auto& step : std::exchange(*steps, {}))
      step();
}

void crash(world& w, archive_disk& d) {
  if (w.has(defect::archive_torn))
    d.batches_in_flight.clear();
  else if (w.disk.yes(0.5))
    return d.rows_in_flight.clear(), d.batches_in_flight.clear();
  d.apply();
}

} // namespace holdfast::simulation
