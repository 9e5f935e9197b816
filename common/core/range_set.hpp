#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace holdfast {

/// Inclusive range of sequence numbers.
struct seq_range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t count() const noexcept { return last - first + 1; }
  friend bool operator==(const seq_range&, const seq_range&) = default;
};

/// A set of sequence numbers, kept as disjoint ranges that never touch. Cost and size follow the number of ranges.
class range_set {
public:
  void insert(seq_range r);
  void erase(seq_range r);
  void clear() {
    ranges_.clear();
    count_ = 0;
  }

  bool empty() const noexcept { return ranges_.empty(); }
  bool contains(seq_range r) const;
  /// Whether any number of r is in the set.
  bool touches(seq_range r) const;
  /// Numbers in the set.
  std::uint64_t count() const noexcept { return count_; }
  std::size_t pieces() const noexcept { return ranges_.size(); }
  std::optional<seq_range> front() const;
  /// First piece that ends at or after `seq`, cut to begin at `seq` or later.
  std::optional<seq_range> at_or_after(std::uint64_t seq) const;
  /// What of r is in the set, and what is not.
  std::vector<seq_range> inside(seq_range r) const;
  std::vector<seq_range> outside(seq_range r) const;
  std::vector<seq_range> ranges() const;

private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // first -> last
  std::uint64_t count_ = 0;
};

} // namespace holdfast
