#pragma once

// Virtual time, chance, processes and what connects them on one host. One thread; the same seed gives the same run.

#include "tests/simulation/defects.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace holdfast::simulation {

using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using duration = clock::duration;
using task = std::function<void()>;

/// SplitMix64 (Steele, Lea, Flood 2014): the same on every platform, unlike the distributions of the library.
class dice {
public:
  explicit dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    auto z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool yes(double probability) { return unit() < probability; }
  duration between(duration a, duration b) {
    return a + duration(static_cast<duration::rep>(below(static_cast<std::uint64_t>((b - a).count()) + 1)));
  }

private:
  std::uint64_t state_;
};

/// A contract of design section 3 does not hold.
struct violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class world {
public:
  world(std::uint64_t seed, defect d, bool tracing)
      : broken(d), net(seed * 4 + 1), disk(seed * 4 + 2), load(seed * 4 + 3), tracing_(tracing) {}

  const defect broken;
  bool has(defect d) const noexcept { return broken == d; }
  dice net, disk, load;  // apart, so that a fault less changes little else

  time_point now() const noexcept { return now_; }
  std::uint64_t steps() const noexcept { return steps_; }
  void after(duration d, task what);
  /// The next event, if it is due by then; otherwise it is `end`.
  bool step(time_point end);

  template <class... Args>
  void trace(const std::string& who, fmt::format_string<Args...> text, Args&&... args) {
    if (tracing_)
      note(who, fmt::format(text, std::forward<Args>(args)...));
  }
  const std::deque<std::string>& lines() const noexcept { return lines_; }
  static time_point begin() { return time_point(std::chrono::hours(1)); }

private:
  static constexpr std::size_t most_lines = 20'000;
  struct event {
    time_point at;
    std::uint64_t number;
    task what;
    bool operator<(const event& o) const { return at != o.at ? at > o.at : number > o.number; }
  };
  void note(const std::string& who, const std::string& text);

  std::vector<event> events_;  // a heap
  time_point now_ = begin();
  std::uint64_t steps_ = 0;
  bool tracing_;
  std::deque<std::string> lines_;
};

/// A process: what it does is lost with it. A timer of one life does nothing in the next.
class process {
public:
  process(world& w, std::string name) : w(w), name(std::move(name)) {}
  virtual ~process() = default;

  world& w;
  const std::string name;
  std::vector<std::function<void(bool up)>> watchers;  // of its coming and going

  bool alive() const noexcept { return alive_; }
  bool hung() const noexcept { return hung_; }
  std::uint64_t life() const noexcept { return life_; }

  void start();
  void kill(const std::string& why);
  void hang();
  void wake();

  void after(duration d, task what);
  /// Something comes from outside: done now, or when it wakes.
  void enter(task what);

protected:
  virtual void boot() = 0;
  virtual void end() = 0;

private:
  bool alive_ = false;
  bool hung_ = false;
  std::uint64_t life_ = 0;
  std::vector<task> held_;
};

/// An actor's mailbox inside a process. While the actor is blocked (in a commit) messages wait.
class mailbox {
public:
  explicit mailbox(process& p) : process_(p) {}
  void send(task what);
  void block() { blocked_ = true; }
  void unblock();

private:
  void schedule();
  void run();
  process& process_;
  std::deque<task> waiting_;
  bool blocked_ = false;
  bool scheduled_ = false;
};

/// ZeroMQ between a DEALER (client) and a ROUTER (server) with `immediate`: in order while both live; what is sent
/// while the other is not there is lost, and so is, or is not, what was on its way when its sender died.
class bus_link {
public:
  bus_link(process& client, process& server, std::function<void(bool)> there);
  void to_server(task what) { send(client_, server_, to_server_, std::move(what)); }
  void to_client(task what) { send(server_, client_, to_client_, std::move(what)); }
  /// The connection breaks, and comes again.
  void flap();
  /// What is sent from now on takes so much longer: its threads get little of the processor.
  void slow(duration d) { slow_ = d; }

private:
  void send(process& from, process& to, time_point& last, task what);
  void came();
  void went(process& who);
  process& client_;
  process& server_;
  std::function<void(bool)> there_;
  bool up_ = false;
  duration slow_{};
  time_point to_server_{}, to_client_{};
};

} // namespace holdfast::simulation
