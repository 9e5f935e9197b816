#pragma once

#include "common/core/range_set.hpp"

#include <map>
#include <string>
#include <vector>

namespace holdfast::store {

/// What each destination has confirmed, per class, and so what nobody needs any more (design contracts 4 and 5). Pure.
class delivery_state {
public:
  /// A destination wants a class; only these count for removal.
  void want(const std::string& destination, const std::string& record_class);
  /// What the file says about it.
  void load(const std::string& destination, const std::string& record_class, const std::vector<seq_range>& ranges);

  /// The destination has r. Returns what no destination wants any more because of it.
  std::vector<seq_range> mark(const std::string& destination, const std::string& record_class, seq_range r);

  /// Numbers up to `head` that the destination lacks.
  std::vector<seq_range> missing(const std::string& destination, const std::string& record_class,
                                 std::uint64_t head) const;
  /// Numbers that every destination that wants the class has.
  std::vector<seq_range> settled(const std::string& record_class) const;
  std::vector<seq_range> delivered(const std::string& destination, const std::string& record_class) const;

  bool wanted(const std::string& destination, const std::string& record_class) const;

private:
  std::vector<seq_range> common(const std::string& record_class, std::vector<seq_range> candidates) const;
  std::map<std::string, std::map<std::string, range_set>> classes_;  // class -> destination -> delivered
};

} // namespace holdfast::store
