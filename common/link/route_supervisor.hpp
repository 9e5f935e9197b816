#pragma once

#include "common/link/byte_budget.hpp"
#include "common/link/flap_damping.hpp"
#include "common/link/health.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::link {

struct link_options {
  std::string name;
  unsigned priority = 100;                 ///< lower first
  double cost = 0;                         ///< decides between links of one priority
  std::vector<std::string> classes{};      ///< empty: all
  milliseconds latency_threshold{0};       ///< above it no place for classes that mind; 0: none
  bool on_demand = false;                  ///< connected only as carrier or standby, or preferred to the carrier
  route_settings route{};
  damping_settings damping{};
};

struct class_options {
  std::string name;
  std::vector<std::string> links{};        ///< empty: all
  bool duplicate = false;                  ///< over two links at once
  bool latency_sensitive = false;
  budget_rule spent = budget_rule::leave_reserve;
};

/// What an uplink says of its link.
struct link_report {
  link::health health = health::connecting;
  std::string cause{};
  std::chrono::microseconds round_trip{0};
  std::uint64_t proofs = 0;                ///< completed round trips so far (monitor::proofs)
  bool ours = false;                       ///< what ended its session was our own doing: no flap
};

/// The words of design section 7.
enum class link_state { connecting, standby, active, degraded, suspect, down, circuit_open, drained };
inline constexpr link_state link_states[] = {link_state::connecting, link_state::standby,      link_state::active,
                                             link_state::degraded,   link_state::suspect,      link_state::down,
                                             link_state::circuit_open, link_state::drained};
const char* to_string(link_state state);

/// Which links carry a class of one destination.
struct route {
  std::vector<std::string> carriers;  ///< the first leads; a second one carries the same. Empty: nothing can
  std::string trial;                  ///< carries the same for a moment: to be proved before the first one rests
  std::string standby;                ///< to be kept connected
  friend bool operator==(const route&, const route&) = default;
};

/// Decides for one destination which link carries which class (design section 7). Pure: reports and time in, routes and
/// actions out; ask routes after every call whose revision() changed.
///
/// - A suspected link is left at once, without proof. If it answers, traffic returns at once; that was no switch.
/// - A link that is down gives its leases back at once.
/// - Traffic returns to a better link when that was healthy for its hold time, once it carried real data beside the old
///   one (make-before-break). A link that flaps is suppressed for some time.
/// - A link fails its trial only by what went over it and did not come back while the old one carried. As long as
///   nothing went over it the trial goes on; a class of which nothing was on its way for the trial's time moves.
/// - At the start, and after sessions that it ended itself, links come in any order: for `settling` the hold is not asked
///   of a link that answered before, as long as it stays up.
/// - Among links that can carry, the least bad one is better than none; one that is only connecting carries nothing.
class route_supervisor {
public:
  static constexpr std::chrono::seconds settling{3};

  struct action {
    enum class type {
      switched,  ///< the class has another first carrier
      diverted,  ///< ... until it is known whether `from` is dead
      returned,  ///< ... which it was not
      release,   ///< every lease of link `from` is over
      share,     ///< other links may lease what `from` holds; the first acknowledgement counts
    };
    type what;
    std::string record_class{};
    std::string from{};  ///< empty: none
    std::string to{};
    std::string cause{};
  };

  route_supervisor(const std::vector<link_options>& links, const std::vector<class_options>& classes);

  void report(const std::string& link, const link_report& r, time_point now);
  void budget(const std::string& link, budget_level level, time_point now);
  /// An acknowledgement of data of this class came over this link.
  void carried(const std::string& link, const std::string& record_class, time_point now);
  /// Something of the class is on its way over the link of its trial. Before tick().
  void offered(const std::string& record_class, time_point now);
  /// Nothing of the class is on its way: it has nothing to send, or found no room. Before tick().
  void idle(const std::string& record_class, time_point now);
  void drain(const std::string& link, bool yes, time_point now);
  /// At most one is pinned: the last one that was.
  void pin(const std::string& link, bool yes, time_point now);
  void tick(time_point now);
  std::optional<time_point> next_deadline() const;
  /// The actions since the last call, in order.
  std::vector<action> take();

  /// Counts changes of any route.
  std::uint64_t revision() const noexcept { return revision_; }
  const route& route_of(const std::string& record_class) const;
  link_state state_of(const std::string& link) const;
  /// Should have a session.
  bool wanted(const std::string& link) const;
  bool suppressed(const std::string& link) const;

private:
  /// How good a link is for a class. Order matters.
  enum class grade { good, poor, unproven, suspect, none };

  struct member {
    link_options options;
    flap_damping damping;
    link_report last{};
    budget_level budget = budget_level::ample;
    bool drained = false;
    bool pinned = false;
    bool slow = false;            // above its latency threshold
    bool proven = false;          // its session passed the probation
    bool faltered = false;        // was up and did not stay so, by no doing of ours
    time_point opened{};          // when it could carry again
    std::uint64_t opened_proofs = 0;
    std::uint64_t carried = 0;    // acknowledgements since then
    time_point healthy_since{};   // up and nothing else
  };
  struct lane {
    class_options options;
    link::route now{};
    std::string diverted_from{};
    time_point trial_since{};
    time_point quiet_since{};             // nothing of it came back over any link
    bool offered = false;                 // over the link of the trial
    std::optional<time_point> outrun{};   // since then another link has carried, and the trial's has not
  };

  lane* on_trial(const std::string& record_class);
  member* find(const std::string& link);
  const member* find(const std::string& link) const;
  void note(member& m, const link_report& r, time_point now);
  void prove(time_point now);

  // route_choice.cpp
  grade grade_of(const member& m, const lane& l, time_point now) const;
  bool allowed(const member& m, const lane& l) const;
  bool preferred(const member& a, const member& b) const;
  const member* best(const lane& l, time_point now, const std::vector<std::string>& except = {}) const;
  void decide(time_point now);
  void decide(lane& l, time_point now);
  bool judge_diversion(lane& l, grade mine, time_point now);
  void judge_trial(lane& l, const member* other, time_point now);
  void try_better(lane& l, const member& current, const member& candidate, time_point now);
  void fail_trial(lane& l, time_point now);
  void pass_trial(lane& l, time_point now);
  void move(lane& l, const member* to, action::type what, const std::string& cause);
  void fill(lane& l, time_point now);
  std::string why_left(const member* m, const lane& l) const;

  std::vector<member> links_;
  std::vector<lane> lanes_;
  std::vector<action> actions_;
  time_point now_{};              // of the last call
  time_point settled_at_{};       // the links that worked before have come by then
  std::uint64_t revision_ = 0;
};

} // namespace holdfast::link
