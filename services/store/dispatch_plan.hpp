#pragma once

#include "services/store/delivery_lane.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::store {

/// Which batch goes to which link next, for one destination (design contracts 4, 6 and 7). Pure: it knows seq numbers and
/// bytes, never payloads; time is passed in. What the destination claims to have is compared first; then classes go by
/// priority, live records before the backlog, which keeps its share, but never fills a link so far ahead that live records
/// wait behind it (link_pace).
class dispatch_plan {
public:
  using clock = link_pace::clock;
  using kind = delivery_lane::kind;

  struct record_class {
    std::string name;
    unsigned priority = 100;  ///< lower first
  };

  dispatch_plan(std::vector<record_class> classes, unsigned backlog_share_percent);

  /// The class's highest number; what is not added as backlog was confirmed.
  void opened(const std::string& record_class, std::uint64_t head);
  /// Stored earlier and not delivered.
  void add_backlog(const std::string& record_class, seq_range r);
  /// Just stored: live while a link is ready, backlog otherwise.
  void stored(const std::string& record_class, seq_range r);

  /// A session says what the destination has; classes it does not name: nothing. After link_ready().
  using ranges_by_class = std::map<std::string, std::vector<seq_range>>;
  void reconcile(const ranges_by_class& present, const ranges_by_class& elsewhere = {});
  /// The destination has numbers that this store cannot have given it: only what it claims is compared until the store has
  /// a new epoch (renewed()) or no session stands any more.
  bool foreign() const noexcept { return foreign_; }
  /// Nothing is on its way, and nothing is left to compare.
  bool settled() const;
  void renewed();

  void link_ready(const std::string& link, std::uint64_t window_bytes);
  /// Every lease of the link returns to the backlog at once.
  void link_down(const std::string& link);
  bool ready(const std::string& link) const { return links_.contains(link); }
  bool any_ready() const noexcept { return !links_.empty(); }

  /// Lease the batch that begins at the first of `todo` to `link`.
  struct order {
    std::string link;
    std::string record_class;
    seq_range todo;           ///< from there on this much is to be sent
    kind how = kind::live;
  };
  /// `checks_only`: nothing but comparisons.
  std::optional<order> next(bool checks_only = false) const;
  /// The order was carried out with this batch.
  void leased(const order& o, seq_range batch, std::uint64_t bytes, clock::time_point now);

  /// The destination acknowledges r, whoever brought it. Returns what is confirmed by that: whole leases. The rest of it
  /// becomes a claim.
  std::vector<seq_range> acknowledged(const std::string& record_class, seq_range r, clock::time_point now);
  /// The destination has r, and there is nothing to compare it with.
  void confirmed(const std::string& record_class, seq_range r);

  enum class rejection {
    conflict,  ///< something else is there under these numbers
    missing,   ///< the answer to a comparison: it is not there
    aside,     ///< not taken; not offered again before the next session
  };
  void rejected(const std::string& record_class, std::uint64_t first, rejection why, clock::time_point now);

  std::uint64_t backlog_records() const;
  std::uint64_t live_records() const;
  std::uint64_t in_flight_bytes() const;
  /// Records in batches that the destination does not take; offered again to its next session.
  std::uint64_t parked_records() const;
  /// Lowest number that is not confirmed.
  std::optional<std::uint64_t> oldest(const std::string& record_class) const;

private:
  struct lane : delivery_lane {
    explicit lane(record_class c) : what(std::move(c)) {}
    record_class what;
  };
  struct link_state {
    std::uint64_t window = 0;
    std::uint64_t in_flight = 0;
    std::uint64_t backlog_in_flight = 0;
    link_pace pace;
    bool room() const noexcept { return in_flight == 0 || in_flight < window; }
    bool backlog_room() const { return backlog_in_flight == 0 || backlog_in_flight < pace.backlog_limit(); }
  };

  lane* find(const std::string& record_class);
  const lane* find(const std::string& record_class) const;
  const lane* first_with(kind how) const;
  std::uint64_t sum(std::uint64_t (delivery_lane::*of)() const noexcept) const;
  void note_checks();
  void completed(const delivery_lane::lease& l, clock::time_point now);

  std::vector<lane> lanes_;  // by priority
  std::map<std::string, link_state> links_;
  double share_;             // backlog bytes per live byte
  double backlog_credit_ = 0;
  bool foreign_ = false;
  bool checked_ = true;      // kept, because next() is called for every batch
};

} // namespace holdfast::store
