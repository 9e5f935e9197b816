#pragma once

#include "common/core/range_set.hpp"

#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace holdfast::collector {

/// Whose numbers these are: seqs of one class of one epoch of one gateway.
struct origin {
  std::string gateway;
  std::uint64_t epoch = 0;
  std::string record_class;
  friend auto operator<=>(const origin&, const origin&) = default;
};

/// What has arrived, so that nothing is stored twice (design contract 3). Pure.
class inbox {
public:
  enum class verdict {
    fresh,      ///< store it
    duplicate,  ///< it is there, if what is there is the same
    overlap,    ///< part of it is there: not a batch of that store; reject
  };

  void load(const origin& o, const std::vector<seq_range>& ranges);
  /// Fresh ranges count as taken at once, committed or not: the same batch may come on two links at a time.
  verdict take(const origin& o, seq_range r);
  /// Takes what of r is not there yet, and returns it.
  std::vector<seq_range> take_missing(const origin& o, seq_range r);
  verdict look(const origin& o, seq_range r) const;
  /// The commit failed: these were not stored.
  void give_back(const origin& o, seq_range r);
  std::vector<seq_range> ranges(const origin& o) const;
  /// Everything of one gateway and epoch, by class.
  std::map<std::string, std::vector<seq_range>> present(const std::string& gateway, std::uint64_t epoch) const;
  std::size_t origins() const noexcept { return origins_.size(); }

private:
  std::map<origin, range_set> origins_;
};

} // namespace holdfast::collector
