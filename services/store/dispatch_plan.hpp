#pragma once

#include "common/core/range_set.hpp"
#include "services/store/link_pace.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::store {

/// Which batch goes to which link next, for one destination (design contracts 4, 6 and 7). Pure: it knows seq numbers and
/// bytes, never payloads; time is passed in. Classes go by priority; live records go before the backlog, which keeps its
/// share, but never fills a link so far ahead that live records wait behind it (link_pace).
class dispatch_plan {
public:
  using clock = link_pace::clock;

  struct record_class {
    std::string name;
    unsigned priority = 100;  ///< lower first
  };

  dispatch_plan(std::vector<record_class> classes, unsigned backlog_share_percent);

  /// Stored earlier and not delivered.
  void add_backlog(const std::string& record_class, seq_range r);
  /// Just stored: live while a link is ready, backlog otherwise.
  void stored(const std::string& record_class, seq_range r);

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
    bool historical = false;
  };
  std::optional<order> next() const;
  /// The order was carried out with this batch.
  void leased(const order& o, seq_range batch, std::uint64_t bytes, clock::time_point now);
  /// These records do not exist any more.
  void gone(const std::string& record_class, seq_range r);

  /// The destination has r, whoever brought it.
  void delivered(const std::string& record_class, seq_range r, clock::time_point now);

  std::uint64_t backlog_records() const;
  std::uint64_t live_records() const;
  std::uint64_t in_flight_bytes() const;
  /// Lowest number not delivered and not leased.
  std::optional<std::uint64_t> oldest(const std::string& record_class) const;

private:
  struct lease {
    std::string link;
    std::uint64_t last = 0;
    std::uint64_t bytes = 0;
    bool historical = false;
    link_pace::mark mark;
  };
  struct lane {
    record_class what;
    range_set live;
    range_set backlog;
    std::map<std::uint64_t, lease> leases;  // by first seq
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

  std::vector<lane> lanes_;  // by priority
  std::map<std::string, link_state> links_;
  double share_;             // backlog bytes per live byte
  double backlog_credit_ = 0;
};

} // namespace holdfast::store
