// The store's disk, records that gave way on purpose: follows services/store/batch_file_gaps.cpp.

#include "tests/simulation/disks.hpp"

#include <algorithm>
#include <iterator>

namespace holdfast::simulation {

namespace {
constexpr std::uint64_t gap_bytes = 32;
} // namespace

std::uint64_t bytes_of(const std::map<std::uint64_t, store::batch>& table) {
  const auto batches = batches_of(table);
  return batches * row_bytes + (table.size() - batches) * gap_bytes;
}

std::size_t batches_of(const std::map<std::uint64_t, store::batch>& table) {
  return static_cast<std::size_t>(
    std::count_if(table.begin(), table.end(), [](auto& row) { return row.second.gap_reason == 0; }));
}

// The class as this transaction sees it; at the commit it takes the place of what is there.
store_file::update::table& store_file::update::view(const std::string& record_class) {
  auto& mine = tables_[record_class];
  if (!mine) {
    mine = std::make_shared<table>(file_.disk_.classes[record_class]);
    steps_.emplace_back([&d = file_.disk_, record_class, mine] { d.classes[record_class] = *mine; });
  }
  return *mine;
}

store::class_policy::sizes store_file::update::used() {
  auto all = file_.used();
  for (auto& [name, mine] : tables_)
    all[name] = bytes_of(*mine);
  return all;
}

void store_file::update::remove_from(table& t, const std::string& record_class, seq_range r) {
  if (!file_.w_.has(defect::gap_not_cut)) {
    cut_gap(t, r.first);
    cut_gap(t, r.last + 1);
  }
  for (auto at = t.lower_bound(r.first); at != t.end() && at->first <= r.last; at = t.erase(at))
    steps_.emplace_back([&f = file_, record_class, seqs = at->second.seqs, gap = at->second.gap_reason != 0] {
      gap ? f.oracle_.gap_removed(record_class, seqs) : f.oracle_.removed(record_class, seqs);
    });
}

// What was told of a gap while it grew, or to one of several destinations, may end in its middle.
void store_file::update::cut_gap(table& t, std::uint64_t at) {
  const auto next = t.lower_bound(at);
  if (next == t.begin())
    return;
  auto& whole = std::prev(next)->second;
  if (whole.gap_reason == 0 || whole.seqs.last < at)
    return;
  auto rest = whole;
  rest.seqs.first = at;
  whole.seqs.last = at - 1;
  t[at] = rest;
}

std::optional<store_file::update::held_batch> store_file::update::next_held(const std::string& record_class,
                                                                            std::uint64_t seq) {
  auto& t = view(record_class);
  const auto at = std::find_if(t.lower_bound(seq), t.end(), [](auto& row) { return row.second.gap_reason == 0; });
  return at == t.end() ? std::nullopt : std::optional(held_batch{at->second.seqs, row_bytes});
}

void store_file::update::give_up(const std::string& record_class, seq_range held, std::uint32_t reason) {
  auto& t = view(record_class);
  t.erase(held.first);
  steps_.emplace_back([&o = file_.oracle_, record_class, held, reason, now = file_.w_.now()] {
    o.dropped(record_class, held, reason, now);
  });
  if (file_.w_.has(defect::drop_untold))
    return;
  store::batch whole{record_class, held, 0, reason, {}};
  if (file_.w_.has(defect::gap_too_wide))
    ++whole.seqs.last;
  const auto join = [&](table::iterator at) {
    const auto& other = at->second;
    if (other.seqs.count() > whole.seqs.count())
      whole.gap_reason = other.gap_reason;
    whole.seqs = {std::min(whole.seqs.first, other.seqs.first), std::max(whole.seqs.last, other.seqs.last)};
    t.erase(at);
  };
  if (const auto next = t.lower_bound(held.first); next != t.begin()) {
    const auto before = std::prev(next);
    if (before->second.gap_reason != 0 && before->second.seqs.last + 1 == held.first)
      join(before);
  }
  if (const auto after = t.find(held.last + 1); after != t.end() && after->second.gap_reason != 0)
    join(after);
  t[whole.seqs.first] = whole;
}

} // namespace holdfast::simulation
