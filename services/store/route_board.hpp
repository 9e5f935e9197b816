#pragma once

#include "common/config/config.hpp"
#include "common/link/route_supervisor.hpp"
#include "common/link/switch_journal.hpp"
#include "holdfast/v1/control.pb.h"
#include "holdfast/v1/dispatch.pb.h"
#include "services/store/dispatch_plan.hpp"
#include "services/store/link_ledger.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace holdfast::store {

/// Both clocks: one for deadlines, one for people and budgets.
struct moment {
  link::time_point now{};
  std::int64_t unix_nanos = 0;
};

/// One destination: what its links say goes to the route supervisor, and what that decides to the dispatch plan, to the
/// journal of switches and outside. Pure; time is passed in.
///
/// A link carries when its uplink says so and its session with the store stands. An uplink that says nothing for
/// `silence` counts as down: it hangs, or was killed, and nothing else would tell. One that never said anything is an
/// older one: its session is all there is to know.
class route_board {
public:
  static constexpr std::chrono::seconds silence{3};
  static constexpr std::size_t most_switches = 256;

  /// What earlier lives left in the file.
  struct kept {
    std::map<std::string, v1::LinkRow> links;
    std::map<std::string, v1::JournalRow> journals;  // by destination
  };

  route_board(const config::gateway& c, const std::string& destination, const kept& k, moment m);

  dispatch_plan plan;

  bool has(const std::string& link) const { return links_.contains(link); }
  /// A life of its uplink is there, without a session yet; 0: it has to come again.
  void attached(const std::string& link, std::uint64_t session, moment m);
  void ready(const std::string& link, std::uint64_t window_bytes, moment m);
  void status(const v1::LinkStatus& s, moment m);
  /// Charges an ordered batch to its link's budget. False: that is at its end for this class, and the order is void.
  bool charge(const dispatch_plan::order& o, std::uint64_t bytes, moment m);
  void down(const std::string& link, const std::string& reason, moment m);
  /// The link said that the destination has r. Returns what is confirmed by that.
  std::vector<seq_range> acknowledged(const std::string& link, const std::string& record_class, seq_range r, moment m);
  /// Returns why it cannot be; empty: done.
  std::string command(const std::string& link, v1::LinkCommand::What what, moment m);
  /// The store has a new epoch: every session ends.
  void renewed(moment m);
  /// At next_deadline(), and twice a second.
  void tick(moment m);
  std::optional<link::time_point> next_deadline() const { return supervisor_.next_deadline(); }

  struct effects {
    std::vector<v1::LinkSwitch> switches;
    std::set<std::string> links;               // that are to be told, and told of
    std::map<std::string, v1::LinkRow> rows;   // to be kept
    std::optional<v1::JournalRow> journal;     // to be kept
  };
  /// What happened since the last call.
  effects take(moment m);

  v1::LinkOrder order(const std::string& link) const;
  /// Of the state that order() tells.
  const std::string& cause(const std::string& link) const { return links_.at(link).cause; }
  void fill(v1::LinksReply& reply, moment m) const;

private:
  struct member {
    config::link settings;
    link_ledger ledger;
    std::uint64_t session = 0;      // life of its uplink; 0: none is attached
    bool ready = false;
    bool tells = false;             // has sent a LinkStatus in this life
    bool silent = false;
    v1::LinkStatus last{};
    std::string reason{};           // why there is no session
    link::time_point heard{};
    // As told outside.
    link::link_state state = link::link_state::connecting;
    std::string cause{};
    link::time_point since{};
    bool connect = true;
  };

  link::link_report judge(const member& m) const;
  void report(const std::string& link, moment m);
  void tell_trials(moment m);
  void levels(moment m);
  bool hopeless(const member& m) const;
  void apply(moment m);
  void note(const link::route_supervisor::action& a, moment m);
  void look(moment m);
  std::string pinned() const;
  v1::LinkSwitch told(const link::switch_entry& e) const;
  std::vector<std::string> carried(const std::string& link) const;

  std::string destination_;
  std::vector<config::record_class> classes_;
  std::map<std::string, member> links_;
  link::route_supervisor supervisor_;
  link::switch_journal journal_;
  std::uint64_t seen_ = 0;          // revision of the routes that the plan has
  link::time_point ticked_{};
  bool journal_changed_ = false;
  effects pending_;
};

} // namespace holdfast::store
