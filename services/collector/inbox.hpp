#pragma once

#include "common/core/range_set.hpp"

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace holdfast::collector {

/// Whose numbers these are: seqs of one class of one epoch of one gateway.
struct origin {
  std::string gateway;
  std::uint64_t epoch = 0;
  std::string record_class;
  friend auto operator<=>(const origin&, const origin&) = default;
};

/// What peers may make the collector keep in memory and write anew with each commit. A gateway has a handful of
/// classes, and a hole for each outage whose backlog is still on its way.
struct inbox_limits {
  std::size_t classes = 256;       ///< of one gateway and epoch
  std::size_t origins = 100'000;
  std::size_t ranges = 10'000;     ///< of one origin
  std::size_t holes = 1'000'000;   ///< between the ranges of all origins: about 64 MiB
  std::size_t told = 30'000;       ///< ranges in a welcome (net::wire_max_header); what is not told just comes again
};

/// What has arrived, so that nothing is stored twice (design contract 3). Pure.
class inbox {
public:
  enum class verdict {
    fresh,      ///< store it
    duplicate,  ///< it is there, if what is there is the same
    overlap,    ///< part of it is there: not a batch of that store; reject
    too_many_classes, too_many_origins, too_many_ranges,  ///< new beyond a limit; what is known goes on
  };

  explicit inbox(const inbox_limits& limits = {}) : limits_(limits) {}

  /// Whatever the limits.
  void load(const origin& o, const std::vector<seq_range>& ranges);
  /// Fresh ranges count as taken at once, committed or not: the same batch may come on two links at a time.
  verdict take(const origin& o, seq_range r);
  /// The same, and takes nothing: fresh, duplicate or overlap.
  verdict look(const origin& o, seq_range r) const;
  /// What of r is not there yet.
  std::vector<seq_range> missing(const origin& o, seq_range r) const;
  static bool limited(verdict v) noexcept { return v >= verdict::too_many_classes; }
  /// The commit failed: these were not stored.
  void give_back(const origin& o, seq_range r);
  std::vector<seq_range> ranges(const origin& o) const;
  /// Of one gateway and epoch, by class: everything, or the first ranges of each up to limits.told.
  std::map<std::string, std::vector<seq_range>> present(const std::string& gateway, std::uint64_t epoch) const;
  /// The same of the gateway's other epochs, together.
  std::map<std::string, std::vector<seq_range>> elsewhere(const std::string& gateway, std::uint64_t epoch) const;
  std::size_t origins() const noexcept { return origins_; }
  std::size_t holes() const noexcept { return ranges_ - origins_; }
  /// For people: the limit that such a verdict met.
  std::string limit_text(verdict v) const;

private:
  using classes = std::map<std::string, range_set>;
  const range_set* find(const origin& o) const;
  void insert(const origin& o, seq_range r);

  inbox_limits limits_;
  std::map<std::pair<std::string, std::uint64_t>, classes> stores_;  // by gateway and epoch; no set is empty
  std::size_t origins_ = 0;
  std::size_t ranges_ = 0;
};

} // namespace holdfast::collector
