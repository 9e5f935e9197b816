#pragma once

// TCP between an uplink and a collector: in order, whole or not at all, and nobody knows what arrived when it breaks.

#include "common/core/blob.hpp"
#include "common/core/range_set.hpp"
#include "common/net/path.hpp"
#include "tests/simulation/world.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::simulation {

using ranges_by_class = std::map<std::string, std::vector<seq_range>>;

/// A frame: holdfast.v1.WireMessage.
struct wire {
  enum class type { hello, welcome, data, ack, rejected, ping, pong, refusal };
  type what;
  std::string text{};             // hello: gateway; data, rejected: class; refusal: why
  std::uint64_t epoch = 0;        // hello
  ranges_by_class present{};      // welcome; ack: stored
  ranges_by_class elsewhere{};    // welcome
  seq_range seqs{};               // data, rejected
  std::uint32_t crc = 0, gap_reason = 0;
  bool historical = false, check_only = false;
  int reason = 0;                 // rejected: v1.Rejected.Reason
  std::uint64_t id = 0;           // ping, pong
  blob payload{};
};

enum side { gateway = 0, centre = 1 };  // also the direction of what a side sends

class connection;

/// One link's way to its collector.
struct path {
  world& w;
  std::string name;
  duration delay, jitter;
  double rate;                 // bytes per second, each direction
  bool cut[2] = {false, false};
  time_point busy[2]{};
  std::vector<std::weak_ptr<connection>> connections{};
  duration usual = delay;

  /// A router says that there is no such connection.
  void reset();
  void process_ended(process& p);
  duration round_trip() const { return 2 * (delay + w.net.between(duration(0), jitter)); }
  bool open() const { return !cut[0] && !cut[1]; }
};

class connection : public std::enable_shared_from_this<connection> {
public:
  struct end {
    process* who = nullptr;
    std::uint64_t life = 0;
    bool closed = false;
    std::function<void(const wire&)> message{};
    std::function<void(const std::string&)> over{};  // once, and the last
  };
  using accept = std::function<void(std::shared_ptr<connection>)>;

  /// `opened` comes in `from`, `accepted` in `to` as soon as TCP has it.
  static std::shared_ptr<connection> dial(path& p, process& from, process& to, duration timeout, task opened,
                                          accept accepted);
  connection(path& p, process& from, process& to);

  end ends[2];
  void send(side from, wire m);
  /// What it has sent may arrive or not, in order; what comes to it is lost.
  void close(side who, const std::string& why, bool tell = true);
  net::path_figures figures() const;
  /// The other end's TCP said something, be it no.
  bool answered() const noexcept { return answered_; }

private:
  friend struct path;
  struct frame { time_point due; std::uint64_t bytes; wire m; bool last; };
  struct half { std::deque<frame> queue{}; bool scheduled = false; unsigned stalls = 0; };

  void knock(duration waited, duration timeout, const std::shared_ptr<task>& opened,
             const std::shared_ptr<accept>& accepted);
  void pump(side from);
  void arrive(side from, frame f);
  void over(side who, const std::string& why);

  path& path_;
  half halves_[2];
  bool open_ = false, answered_ = false;
  std::uint64_t acknowledged_ = 0, frames_ = 0, wire_bytes_ = 0;
};

} // namespace holdfast::simulation
