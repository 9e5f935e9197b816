#pragma once

// Every number of the link cores, and what it is on fibre, 5G and a geostationary satellite. README.md says where each
// comes from. Configuration takes a profile and overrides what it names.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::link {

using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using std::chrono::milliseconds;
using seconds = std::chrono::duration<double>;

inline clock::duration ticks(seconds s) { return std::chrono::duration_cast<clock::duration>(s); }

struct monitor_settings {
  milliseconds floor{60};            ///< no acknowledgement is overdue sooner
  milliseconds failover{200};        ///< ... nor later than nine tenths of this, whatever was learned (M7)
  milliseconds first_wait{1000};     ///< until something was measured
  milliseconds gap{40};              ///< nor is one while the last sign of a round trip is younger than this
  double idle_patience = 1.2;        ///< times the wait for a probe of an idle link, where nothing is urgent
  unsigned burst = 3;                ///< probes that decide between suspect and down
  milliseconds burst_spacing{10};    ///< or an eighth of the round trip, if that is more
  milliseconds burst_floor{30};      ///< the last of them is given at least this long
  milliseconds idle_probe{1000};     ///< without data, one probe per this long ...
  std::uint64_t probe_budget = 0;    ///< ... or as rarely as bytes per day ask for; 0: unmetered
  std::uint64_t probe_bytes = 270;   ///< of one probe on the wire, both ways
  milliseconds recovery_probe{200};  ///< while degraded or down, while half of what the budget saved up is there
  milliseconds late{5};              ///< a tick this late proves that we slept ourselves, and is given half a gap more
  milliseconds stall{5000};          ///< probes are answered and data are not: degraded
  double assumed_rate = 1e6;         ///< bytes/s, until measured
  double patience_step = 1.5;        ///< each false suspicion makes the waits so much longer ...
  double patience_limit = 3;         ///< ... up to so many times ...
  std::chrono::seconds patience_memory{3600};  ///< ... and half of it is forgotten in this time
};

struct loss_settings {
  double good = 0.005;     ///< of packets; the two hypotheses of the test
  double bad = 0.05;
  double enter = 9.2;      ///< log likelihood ratio that degrades: -ln of the false alarms per decision
  double leave = 9.2;      ///< ... in the other direction that ends it
  unsigned bursts = 3;     ///< losses in this many pieces of time at least
  milliseconds piece{100};
  unsigned clear = 60;     ///< or so many packets in a row without a loss end it ...
  std::chrono::seconds quiet{60};  ///< ... when the last loss was so long ago: what an idle link's probes can show
};

struct delay_settings {
  milliseconds window{1000};     ///< one p95 per window, and ...
  unsigned samples = 20;         ///< ... no fewer samples than this
  double enter = 2;              ///< times the baseline: a commit at the collector does not grow with the path
  double leave = 1.5;
  milliseconds rise{5};          ///< and so much above it at least
  unsigned enter_windows = 2;    ///< in a row
  unsigned leave_windows = 3;
  std::chrono::seconds memory{600};  ///< the baseline follows a rise this slowly; a fall ten times faster
};

struct breaker_settings {
  unsigned window = 20;              ///< outcomes
  std::chrono::seconds age{60};      ///< older ones do not count
  unsigned minimum = 5;              ///< fewer say nothing
  double errors = 0.5;               ///< share that opens
  std::chrono::seconds open{10};
  unsigned trials = 3;               ///< let through half-open; all must succeed
};

struct damping_settings {
  double flap = 1000;                ///< penalty
  double suspicion = 500;            ///< a suspicion that came to nothing, or a brownout
  double suppress = 1500;
  double reuse = 750;
  std::chrono::seconds half_life{300};
  std::chrono::seconds longest{900};  ///< suppressed at most so long after the last flap
};

struct route_settings {
  std::chrono::seconds hold{30};       ///< a better link must be healthy so long before traffic returns to it
  std::chrono::seconds probation{5};   ///< answering for so long before a link counts as healthy ...
  unsigned proofs = 3;                 ///< ... and so often
  milliseconds trial{2000};            ///< real data must come back over it in this time before the old link rests
};

struct reconnect_settings {
  milliseconds first{1000};
  milliseconds cap{30000};
  milliseconds stable{60000};
  milliseconds user_timeout{1000};     ///< TCP_USER_TIMEOUT, the safety net
};

struct budget_settings {
  std::uint64_t day = 0;               ///< bytes; 0: no limit
  std::uint64_t month = 0;
  double warn = 0.80;
  double reserve = 0.95;               ///< above this only classes that may use the reserve
};

/// What a class does on a link whose budget comes to its end.
enum class budget_rule {
  leave_reserve,  ///< waits, or goes elsewhere, from the reserve on
  use_reserve,    ///< until nothing is left
  ignore,         ///< goes on
};

struct profile {
  std::string_view name;
  monitor_settings monitor;
  loss_settings loss;
  delay_settings delay;
  breaker_settings breaker;
  damping_settings damping;
  route_settings route;
  reconnect_settings reconnect;
  budget_settings budget;
  double cap_rate = 0;                 ///< bytes/s; 0: no cap
  double cap_burst = 65536;            ///< bytes
};

profile fibre();
profile five_g();
profile satellite();
/// "fibre", "5g" or "satellite".
std::optional<profile> profile_named(std::string_view name);

} // namespace holdfast::link
