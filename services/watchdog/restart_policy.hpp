#pragma once

#include "common/config/config.hpp"
#include "services/watchdog/exit_status.hpp"
#include "services/watchdog/restart_history.hpp"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::watchdog {

/// What one service is doing, as far as its process goes.
enum class phase {
  down,      ///< not running, and nothing is planned (before start, after stop)
  waiting,   ///< will be started when its time comes
  starting,  ///< the shell was told to start it and has not answered yet
  running,
  ending,    ///< was told to end
};

/// What the policy wants done or told. The shell carries out the first four and passes on the rest: log, metrics, bus.
struct action {
  enum class type {
    start,        ///< answer with started() or start_failed()
    terminate,    ///< SIGTERM
    abort,        ///< SIGABRT: a core dump shows where it hung
    kill,         ///< SIGKILL
    failed,       ///< a life ended unasked; next start after `wait`
    ended,        ///< a life ended as wanted
    quarantined,  ///< failed too often; from now on slow retries
    recovered,    ///< a stable life ended the quarantine
    all_gone,     ///< stop() is complete
  };
  type what;
  std::size_t service = 0;
  milliseconds wait{0};
  std::string reason;
};

/// Decides when the services of a host are started, stopped and started again. Pure: events in, actions out, time
/// passed in. Services are numbered in start order.
///
/// - Start in order; stop in reverse order, one after another while time permits.
/// - Restart after every end that was not asked for, by restart_history; one_for_one: that service; rest_for_one: also
///   all that come after it, which are stopped first.
/// - A service that hangs is aborted, killed after abort_grace, and counts as failed.
class restart_policy {
public:
  /// `stop_budget`: stop() is over by then. Half of it is for one after another; then all the others are told to end,
  /// and what still lives at its end is killed.
  restart_policy(const config::watchdog& limits, std::size_t services, milliseconds stop_budget);

  void start(time_point now);
  /// `began` is earlier than now for a process that was adopted.
  void started(std::size_t service, time_point began);
  void start_failed(std::size_t service, const std::string& cause, time_point now);
  /// `holder_ended`: the process that kept it from its lock was on its way out.
  void exited(std::size_t service, const exit_status& status, time_point now, bool holder_ended = false);
  /// `frozen`: it is stopped or traced and would not even notice SIGABRT.
  void hung(std::size_t service, const std::string& reason, bool frozen, time_point now);
  /// Somebody asked for a fresh process: not a failure, and at once whatever it waits for.
  void restart(std::size_t service, time_point now);
  void stop(time_point now);
  void tick(time_point now);

  /// The actions since the last call, in order.
  std::vector<action> take();

  phase phase_of(std::size_t service) const { return members_[service].now; }
  bool quarantined(std::size_t service) const { return members_[service].history.quarantined(); }
  /// Starts after the first one, for whatever cause.
  unsigned restarts(std::size_t service) const;
  bool stopping() const noexcept { return stop_began_.has_value(); }
  /// When tick() has something to do next, beside forgiving.
  std::optional<time_point> next_due() const;

private:
  struct member {
    restart_history history;
    phase now = phase::down;
    bool again = false;  // is to be ended if it runs, and then started
    bool killed = false;
    time_point began{};
    time_point due{};  // waiting: start; ending: kill
    unsigned starts = 0;
    std::string hang{};
  };

  void emit(action::type what, std::size_t service = 0, milliseconds wait = {}, std::string reason = {});
  void failed(std::size_t service, const std::string& reason, bool hopeless, time_point now);
  void settle(std::size_t service, milliseconds life);
  void again(std::size_t service);
  void terminate(std::size_t service, time_point now);
  void kill(std::size_t service);
  void hurry(time_point now);
  void converge(time_point now);
  void converge_to_stop(time_point now);

  config::watchdog limits_;
  milliseconds stop_budget_;
  std::vector<member> members_;
  std::vector<action> actions_;
  std::optional<time_point> stop_began_;
  bool told_all_gone_ = false;
};

} // namespace holdfast::watchdog
