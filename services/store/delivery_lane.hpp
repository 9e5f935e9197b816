#pragma once

#include "common/core/range_set.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace holdfast::store {

/// Where each number of one class stands with one destination, as long as that destination has not confirmed it. Pure.
///
/// A batch on its way is leased to one link, or to two (design contract 6): a class that asks for two gets the second
/// lease at once, a suspected link's batches get it over the link that follows, and so does what is on its way when a
/// link begins to carry the class, or newer records could overtake it on the faster path. It is complete when the
/// destination has it, whoever brought it; it returns when nobody holds it any more.
///
/// Only what a lease covers, or covered in the same session, is confirmed by an acknowledgement. What else a
/// destination says it has is compared with what it has confirmed, whenever one of its sessions begins:
///   - it has more than it has confirmed: the confirmation may have been lost, or this store was restored from an older
///     copy and gives numbers again. Such numbers are `claimed`: their batches are compared before anything counts.
///   - it has numbers that were never given: this store is the older copy. reconcile() says so.
///   - it lacks what it has confirmed: these numbers are `lost` there, and a gap record says so.
class delivery_lane {
public:
  /// How the next batch is to go, most urgent first.
  enum class kind { check, gap, live, backlog };

  /// The highest number that was given; what is below it and not added was confirmed.
  void opened(std::uint64_t head);
  void add_backlog(seq_range r);
  void stored(seq_range r, bool live);
  /// `present`: under this epoch; `elsewhere`: under others, where the same batch has the same number. False: the
  /// destination has numbers that were never given.
  bool reconcile(const std::vector<seq_range>& present, const std::vector<seq_range>& elsewhere = {});

  /// What nobody holds and is to go next in this manner.
  std::optional<seq_range> front(kind how) const;
  /// The batch that another link holds and that is to go over this one as well.
  std::optional<seq_range> copy(kind how, const std::string& link) const;

  /// The batch goes over the link; where another link has it, as its second lease.
  void leased(seq_range r, const std::string& link, kind how);
  /// What others hold is to go over `link` as well: one batch, all, or all that `from` holds.
  void want_copy(std::uint64_t first, const std::string& link);
  void want_copies(const std::string& link, const std::string& from = {});
  /// A batch has two leases at most: before `link` is to have what others hold, the lease of one that carries no longer
  /// gives way to it. It needs no copy of what it `has` on its way already.
  using has_batch = std::function<bool(std::uint64_t first)>;
  void make_way(const std::string& link, const std::vector<std::string>& carriers, const has_batch& has);
  /// The same for the batch that begins there.
  void make_way(std::uint64_t first, const std::string& link, const std::vector<std::string>& carriers,
                const has_batch& has);
  void no_copy(std::uint64_t first, const std::string& link);
  void no_copies(const std::string& link) { copies_.erase(link); }

  /// Every lease of the link is over.
  void link_down(const std::string& link);
  /// No link is left: nothing is live any more, and no claim can be compared.
  void no_links();
  /// Nothing carries this class: nothing of it is live any more.
  void no_carrier();
  /// The destination acknowledges r. Returns what is complete: the batches leased, to whomever, and wholly within, and
  /// those that the link had `brought` in this session, also where its lease gave way and nobody holds them any more.
  /// What else of r is not confirmed is a claim now.
  std::vector<seq_range> acknowledged(seq_range r, const std::vector<seq_range>& brought = {});
  /// The destination has r, and that is certain.
  void confirmed(seq_range r);
  /// Over this link the destination did not take the batch that begins at `first`, or does not have it; `aside`: it is
  /// not offered again before unpark(). False: the link does not hold it.
  bool rejected(std::uint64_t first, const std::string& link, bool aside);
  /// Links that have the batch which begins there: two at most.
  std::vector<std::string> holders(std::uint64_t first) const;
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
  struct lease {
    std::uint64_t last = 0;
    kind how = kind::live;
    std::string first;       // link
    std::string second{};    // link; empty: none
    bool held_by(const std::string& link) const { return first == link || second == link; }
  };
  using leases = std::map<std::uint64_t, lease>;                // by first seq
  using starts = std::array<std::set<std::uint64_t>, 4>;        // by kind

  range_set& where(kind how);
  void claim(seq_range r);
  void settle_lost(const range_set& present);
  void make_way(leases::iterator l, const std::string& link, const std::vector<std::string>& carriers,
                const has_batch& has);
  void forget_copies(leases::iterator l);
  leases::iterator end_lease(leases::iterator l, const std::string& link, range_set* returns_to);

  std::uint64_t head_ = 0;
  range_set live_;
  range_set backlog_;
  range_set claimed_;
  range_set lost_;
  range_set parked_;
  leases leases_;
  std::map<std::string, starts> copies_;  // by link: of batches that one other link holds
};

} // namespace holdfast::store
