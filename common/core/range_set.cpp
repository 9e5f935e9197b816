#include "common/core/range_set.hpp"

#include <algorithm>

namespace holdfast {

void range_set::insert(seq_range r) {
  auto it = ranges_.upper_bound(r.first);
  if (it != ranges_.begin()) {
    auto before = std::prev(it);
    if (before->second >= r.first || before->second + 1 == r.first)  // the sum alone wraps at the last number there is
      it = before;
  }
  while (it != ranges_.end() && (it->first <= r.last || it->first == r.last + 1)) {
    r.first = std::min(r.first, it->first);
    r.last = std::max(r.last, it->second);
    count_ -= it->second - it->first + 1;
    it = ranges_.erase(it);
  }
  ranges_.emplace_hint(it, r.first, r.last);
  count_ += r.count();
}

void range_set::erase(seq_range r) {
  auto it = ranges_.upper_bound(r.first);
  if (it != ranges_.begin())
    --it;
  while (it != ranges_.end() && it->first <= r.last) {
    const seq_range piece{it->first, it->second};
    if (piece.last < r.first) {
      ++it;
      continue;
    }
    it = ranges_.erase(it);
    count_ -= piece.count();
    if (piece.first < r.first) {
      ranges_.emplace(piece.first, r.first - 1);
      count_ += r.first - piece.first;
    }
    if (piece.last > r.last) {
      it = ranges_.emplace(r.last + 1, piece.last).first;
      count_ += piece.last - r.last;
    }
  }
}

bool range_set::contains(seq_range r) const {
  auto it = ranges_.upper_bound(r.first);
  return it != ranges_.begin() && std::prev(it)->second >= r.last;
}

bool range_set::touches(seq_range r) const {
  auto it = ranges_.upper_bound(r.last);
  return it != ranges_.begin() && std::prev(it)->second >= r.first;
}

std::optional<seq_range> range_set::front() const {
  if (ranges_.empty())
    return std::nullopt;
  return seq_range{ranges_.begin()->first, ranges_.begin()->second};
}

std::optional<seq_range> range_set::at_or_after(std::uint64_t seq) const {
  auto it = ranges_.upper_bound(seq);
  if (it != ranges_.begin() && std::prev(it)->second >= seq)
    return seq_range{seq, std::prev(it)->second};
  if (it == ranges_.end())
    return std::nullopt;
  return seq_range{it->first, it->second};
}

std::vector<seq_range> range_set::inside(seq_range r) const {
  std::vector<seq_range> out;
  auto it = ranges_.upper_bound(r.first);
  if (it != ranges_.begin())
    --it;
  for (; it != ranges_.end() && it->first <= r.last; ++it)
    if (it->second >= r.first)
      out.push_back({std::max(it->first, r.first), std::min(it->second, r.last)});
  return out;
}

std::vector<seq_range> range_set::outside(seq_range r) const {
  std::vector<seq_range> out;
  auto next = r.first;
  for (auto& piece : inside(r)) {
    if (piece.first > next)
      out.push_back({next, piece.first - 1});
    next = piece.last + 1;
    if (next == 0)
      return out;
  }
  if (next <= r.last)
    out.push_back({next, r.last});
  return out;
}

std::vector<seq_range> range_set::ranges() const {
  std::vector<seq_range> out;
  out.reserve(ranges_.size());
  for (auto& [first, last] : ranges_)
    out.push_back({first, last});
  return out;
}

} // namespace holdfast
