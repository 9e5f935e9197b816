#pragma once

#include "common/core/range_set.hpp"
#include "services/store/link_pace.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::store {

/// Where each number of one class stands with one destination, as long as that destination has not confirmed it. Pure.
///
/// Only what a lease covers is confirmed by an acknowledgement. What else a destination says it has is compared with what
/// it has confirmed, whenever one of its sessions begins:
///   - it has more than it has confirmed: the confirmation may have been lost, or this store was restored from an older
///     copy and gives numbers again. Such numbers are `claimed`: their batches are compared before anything counts.
///   - it has numbers that were never given: this store is the older copy. reconcile() says so.
///   - it lacks what it has confirmed: these numbers are `lost` there, and a gap record says so.
class delivery_lane {
public:
  /// How the next batch is to go, most urgent first.
  enum class kind { check, gap, live, backlog };

  struct lease {
    std::string link;
    std::uint64_t last = 0;
    std::uint64_t bytes = 0;
    kind how = kind::live;
    link_pace::mark mark;
  };
  using leases = std::map<std::uint64_t, lease>;  // by first seq

  /// The highest number that was given; what is below it and not added was confirmed.
  void opened(std::uint64_t head);
  void add_backlog(seq_range r);
  void stored(seq_range r, bool live);
  /// `present`: under this epoch; `elsewhere`: under others, where the same batch has the same number. False: the
  /// destination has numbers that were never given.
  bool reconcile(const std::vector<seq_range>& present, const std::vector<seq_range>& elsewhere = {});

  /// What is to go next in this manner.
  std::optional<seq_range> front(kind how) const;
  void leased(seq_range r, lease l);
  /// Every lease of the link returns at once.
  void link_down(const std::string& link);
  /// No link is left: nothing is live any more, and no claim can be compared.
  void no_links();
  /// The destination acknowledges r. Returns the leases that are complete, by first seq: those wholly within. What else of
  /// r is not confirmed is a claim now.
  leases acknowledged(seq_range r);
  /// The destination has r, and that is certain.
  void confirmed(seq_range r);
  /// The destination did not take the batch that begins at `first`, or does not have it; `aside`: it is not offered again
  /// before unpark(). Returns its lease.
  std::optional<lease> rejected(std::uint64_t first, bool aside);
  /// The lease that begins there is a comparison.
  bool checks(std::uint64_t first) const;
  void unpark();

  std::uint64_t live_records() const noexcept { return live_.count(); }
  std::uint64_t backlog_records() const noexcept { return backlog_.count() + claimed_.count() + parked_.count(); }
  std::uint64_t parked_records() const noexcept { return parked_.count(); }
  /// Every claim has been compared, and answered.
  bool checked() const noexcept;
  bool has_leases() const noexcept { return !leases_.empty(); }
  /// Lowest number that is not confirmed.
  std::optional<std::uint64_t> oldest() const;

private:
  range_set& where(kind how);
  void claim(seq_range r);
  void settle_lost(const range_set& present);

  std::uint64_t head_ = 0;
  range_set live_;
  range_set backlog_;
  range_set claimed_;
  range_set lost_;
  range_set parked_;
  leases leases_;
};

} // namespace holdfast::store
