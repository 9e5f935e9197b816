#pragma once

#include "common/link/byte_budget.hpp"
#include "common/link/route_supervisor.hpp"
#include "services/store/delivery_lane.hpp"
#include "services/store/link_pace.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::store {

/// Which batch goes to which link next, for one destination (design contracts 4, 6 and 7). Pure: it knows seq numbers
/// and bytes, never payloads; time is passed in. What the destination claims to have is compared first; then classes go
/// by priority, live records before the backlog, which keeps its share, but never fills a link so far ahead that live
/// records wait behind it (link_pace). A class goes over the links of its route only, or over any while it has none
/// set; comparisons and gaps go over any other where no carrier is ready.
class dispatch_plan {
public:
  using clock = link_pace::clock;
  using kind = delivery_lane::kind;

  struct record_class {
    std::string name;
    unsigned priority = 100;  ///< lower first
    std::optional<unsigned> backlog_share{};  ///< percent; default: the plan's
  };

  dispatch_plan(std::vector<record_class> classes, unsigned backlog_share_percent);

  /// The class's highest number; what is not added as backlog was confirmed.
  void opened(const std::string& record_class, std::uint64_t head);
  /// Stored earlier and not delivered.
  void add_backlog(const std::string& record_class, seq_range r);
  /// Just stored: live while a link can carry it, backlog otherwise.
  void stored(const std::string& record_class, seq_range r);

  /// A session says what the destination has; classes it does not name: nothing. After link_ready().
  using ranges_by_class = std::map<std::string, std::vector<seq_range>>;
  void reconcile(const ranges_by_class& present, const ranges_by_class& elsewhere = {});
  /// The destination has numbers that this store cannot have given it: only what it claims is compared until the store
  /// has a new epoch (renewed()) or no session stands any more.
  bool foreign() const noexcept { return foreign_; }
  /// Nothing is on its way, and nothing is left to compare.
  bool settled() const;
  void renewed();

  void link_ready(const std::string& link, std::uint64_t window_bytes);
  /// Every lease of the link returns to the backlog at once, unless another link has it too.
  void link_down(const std::string& link);
  bool ready(const std::string& link) const { return links_.contains(link); }
  bool any_ready() const noexcept { return !links_.empty(); }

  /// From now on the class goes over the route's carriers, and the same over its trial. A link that begins to carry
  /// gets what others have on their way, before anything new.
  void route(const std::string& record_class, const link::route& r);
  /// The link's leases return though its session stays; it gets nothing until resume().
  void release(const std::string& link);
  void resume(const std::string& link);
  /// What the link has leased may be leased by the other carriers at once; the first acknowledgement counts.
  void share(const std::string& link);

  /// Lease the batch that begins at the first of `todo` to `link`.
  struct order {
    std::string link;
    std::string record_class;
    seq_range todo;           ///< from there on this much is to be sent
    kind how = kind::live;
    bool copy = false;        ///< another link has it: `todo` is the batch
  };
  /// `checks_only`: nothing but comparisons.
  std::optional<order> next(bool checks_only = false) const;
  /// The order was carried out with this batch.
  void leased(const order& o, seq_range batch, std::uint64_t bytes, clock::time_point now);
  /// The copy cannot be made.
  void skipped(const order& o);
  /// Nothing of the order's class goes over its link before counted().
  void hold(const order& o) { links_[o.link].held.insert(o.record_class); }
  void counted(const std::string& link);

  /// The destination acknowledges r over this link. Returns what is confirmed by that: whole batches that any link has
  /// leased. The rest of it becomes a claim, but holds nothing new up: this store sent it. What other links still carry
  /// of it fills their windows until they say so too, or end.
  std::vector<seq_range> acknowledged(const std::string& link, const std::string& record_class, seq_range r,
                                      clock::time_point now);
  /// The destination has r, and there is nothing to compare it with.
  void confirmed(const std::string& record_class, seq_range r);

  enum class rejection {
    conflict,  ///< something else is there under these numbers
    missing,   ///< the answer to a comparison: it is not there; nothing, if the link has no comparison of it now
    aside,     ///< not taken; not offered again before the next session
  };
  void rejected(const std::string& link, const std::string& record_class, std::uint64_t first, rejection why,
                clock::time_point now);

  std::uint64_t backlog_records() const;
  std::uint64_t live_records() const;
  std::uint64_t in_flight_bytes() const;
  std::uint64_t in_flight_bytes(const std::string& link) const;
  static std::uint64_t wire_bytes(std::uint64_t batch) { return link::byte_budget::wire_bytes(batch); }
  /// ... and all that the link has on its way.
  std::uint64_t coming_bytes(const std::string& link) const;
  /// Records in batches that the destination does not take; offered again to its next session.
  std::uint64_t parked_records() const;
  /// Lowest number that is not confirmed.
  std::optional<std::uint64_t> oldest(const std::string& record_class) const;
  /// Links that have the batch which begins there leased.
  std::vector<std::string> holders(const std::string& record_class, std::uint64_t first) const;
  /// Something of the class is on its way over the link.
  bool carries(const std::string& link, const std::string& record_class) const;
  /// Nothing of the class is on its way: it has nothing to send, or its links have no room for it.
  bool idle(const std::string& record_class) const;

private:
  struct way {
    std::vector<std::string> leads;  ///< may take what nobody has
    std::vector<std::string> same;   ///< each batch goes over all of these: two at most
    std::string trial{};             ///< which of these is on trial
  };
  struct lane : delivery_lane {
    lane(record_class c, double s) : what(std::move(c)), share(s) {}
    record_class what;
    double share;                    // backlog bytes per live byte
    std::optional<way> over{};       // empty: over any link
  };
  struct sent {
    std::uint64_t last = 0;
    std::uint64_t bytes = 0;
    bool historical = false;
    bool check = false;  // a comparison, not the batch
    link_pace::mark mark;
  };
  struct link_state {
    std::uint64_t window = 0;
    bool resting = false;
    std::uint64_t in_flight = 0;
    std::uint64_t backlog_in_flight = 0;
    double backlog_credit = 0;
    std::set<std::string> held{};    // classes
    link_pace pace{};
    std::map<std::pair<std::string, std::uint64_t>, sent> carries{};  // by class and first seq, until it is answered
    bool room() const noexcept { return !resting && (in_flight == 0 || in_flight < window); }
    bool backlog_room() const { return backlog_in_flight == 0 || backlog_in_flight < pace.backlog_limit(); }
  };
  using link_entry = std::pair<const std::string, link_state>;

  lane* find(const std::string& record_class);
  const lane* find(const std::string& record_class) const;
  static delivery_lane::has_batch has(const lane& l, const link_state& link);
  void complete(lane& l);
  bool can_go(const lane& l) const;
  bool may(const lane& l, kind how, const std::string& link) const;
  std::optional<order> first_with(kind how, const std::string& link) const;
  std::optional<order> trial_for(const link_entry& link) const;
  std::optional<order> next_for(const link_entry& link, bool checks_only) const;
  std::uint64_t sum(std::uint64_t (delivery_lane::*of)() const noexcept) const;
  void note_checks();
  void note_carriers();
  void answered(link_state& link, const sent& s, clock::time_point now);

  std::vector<lane> lanes_;  // by priority
  std::map<std::string, link_state> links_;
  bool foreign_ = false;
  bool checked_ = true;      // all that sessions began with; kept, because next() is called for every batch
};

} // namespace holdfast::store
