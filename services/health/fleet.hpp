#pragma once

#include "common/core/blob.hpp"
#include "services/health/proc.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace holdfast::v1 {
class Alarm;
class Envelope;
class Heartbeat;
class Metrics;
class ProcessEvent;
class StateChange;
}

namespace holdfast::health {

using std::chrono::milliseconds;

/// A point in time on both clocks: the monotonic one judges, the wall clock is only shown.
struct instant {
  milliseconds monotonic{0};
  std::int64_t unix_millis = 0;
};

enum class presence { unknown, up, silent, stopped };
const char* text(presence p) noexcept;

struct loop_age {
  std::string name;
  milliseconds age{0};
  milliseconds limit{0};
};

struct component {
  std::string state;
  std::string detail;
  milliseconds since{0};  // monotonic
};

struct raised_alarm {
  std::string severity;  // "info", "warning", "critical"
  std::string text;
  std::int64_t since_unix_millis = 0;
};

/// What the watchdog did to a process, last time.
struct process_note {
  std::string what;
  std::string reason;
  std::int64_t at_unix_millis = 0;
  std::int32_t exit_code = 0;
  std::int32_t signal = 0;
  std::uint64_t restarts = 0;
};

/// One running (or missing) service, as far as its own messages tell.
struct instance {
  std::string name;
  bool expected = false;  ///< its absence makes the gateway unhealthy
  bool self = false;      ///< this process: always up
  std::string service;
  std::string version;
  std::string state;      ///< as the service says it: "running", "degraded: ...", "stopping"
  std::int64_t pid = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t lives = 0;  ///< incarnations seen
  milliseconds uptime{0};   ///< at the last heartbeat
  bool heard = false;       ///< a heartbeat arrived, ever
  bool ended = false;       ///< it, or the watchdog, said that it stops on purpose
  milliseconds last_heartbeat{0};
  milliseconds up_since{0};
  presence shown = presence::unknown;  ///< at the last turn
  std::vector<loop_age> loops;
  std::map<std::string, component> components;
  std::map<std::string, raised_alarm> alarms;
  std::shared_ptr<const v1::Metrics> metrics;
  std::optional<process_note> process;
  std::optional<proc::usage> usage;
  std::map<std::string, std::uint64_t> sequences;  ///< last number per topic, of this incarnation
  std::uint64_t received = 0;
  std::uint64_t lost = 0;       ///< numbers that never came
  std::uint64_t malformed = 0;  ///< messages under its name that were not what the contract says
  bool status_stale = true;     ///< changes may have been missed
  std::optional<milliseconds> status_taken;
};

presence judge(const instance& i, milliseconds now) noexcept;

struct journal_entry {
  std::int64_t unix_millis = 0;
  std::string instance;
  std::string kind;  // "presence", "state", "alarm", "process"
  std::string text;
};

/// Why the gateway is not healthy.
struct reason {
  std::string instance;
  std::string text;
};

/// Everything MONITOR knows, at one moment. Immutable: the HTTP thread renders from it at leisure.
struct picture {
  std::string gateway;
  std::string version;
  instant taken;
  std::vector<instance> instances;
  std::deque<journal_entry> journal;
  std::optional<proc::machine> machine;
  std::uint64_t overrun = 0;       ///< messages dropped because MONITOR was behind
  std::uint64_t unattributed = 0;  ///< malformed messages that name nobody we know

  /// Empty: every expected service is up and says "running", and nothing else that was heard has fallen silent.
  std::vector<reason> reasons() const;
};
using picture_ptr = std::shared_ptr<const picture>;

/// MONITOR's core: messages of the event bus in, the state of every service out. No clock, no sockets; every container
/// is bounded, whatever a peer sends.
class fleet {
public:
  static constexpr milliseconds silence_limit{2000};
  static constexpr std::size_t journal_limit = 200;

  struct member {
    std::string name;
    bool expected = true;
    bool self = false;
  };
  fleet(std::string gateway, std::string version, const std::vector<member>& members);

  /// One message: topic, Envelope, payload. False: malformed; counted for the instance its topic names, and ignored.
  bool take(std::span<const blob> parts, instant now);
  /// An answer to a StatusRequest: what that service is now, for all the changes we did not hear.
  bool take_status(std::span<const blob> parts, instant now);

  /// All should be asked for their status now: somebody is new or lost messages, or the last answer is a minute old.
  bool status_due(milliseconds now);

  /// Notes who came and who fell silent since the last turn.
  void turn(instant now);

  /// This process says how it is, without the bus.
  void keep_self(instant now, std::int64_t pid, milliseconds uptime, std::vector<loop_age> loops,
                 std::shared_ptr<const v1::Metrics> metrics);
  void note_own_alarm(const std::string& name, bool raised, const std::string& text, instant now);

  void set_usage(const std::string& name, std::optional<proc::usage> u);
  void set_machine(const proc::machine& m) { now_.machine = m; }
  void set_overrun(std::uint64_t n) { now_.overrun = n; }

  const std::vector<instance>& instances() const noexcept { return now_.instances; }
  picture_ptr snapshot(instant now) const;

private:
  instance* find(const std::string& name);
  bool number(instance& i, const v1::Envelope& e, const std::string& topic, instant now);
  bool dispatch(instance& i, const std::string& type, const blob& payload, instant now);
  void on(instance& i, const v1::Heartbeat& m, instant now);
  void on(instance& i, const v1::StateChange& m, instant now);
  void on(instance& i, const v1::Alarm& m, instant now);
  void on(instance& teller, const v1::ProcessEvent& m, instant now);
  void note(instant now, const std::string& instance, std::string kind, std::string text);

  picture now_;
  std::optional<milliseconds> status_asked_;
};

} // namespace holdfast::health
