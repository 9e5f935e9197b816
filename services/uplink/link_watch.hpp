#pragma once

#include "common/config/config.hpp"
#include "common/link/circuit_breaker.hpp"
#include "common/link/monitor.hpp"
#include "common/net/path.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::v1 {
class LinkStatus;
}

namespace holdfast::uplink {

/// All that the uplink knows of its link: feeds link::monitor with what happens to the session, and keeps the breaker
/// of the attempts to connect. Pure: time is passed in. After each call, take() says what is to be done.
class link_watch {
public:
  using time_point = link::time_point;

  struct outcome {
    std::vector<std::uint64_t> pings;  ///< to be sent now, with these ids
    bool changed = false;              ///< health() did: tell the store
    bool give_up = false;              ///< down for long enough: another session, once
  };

  explicit link_watch(const config::link& l);

  // -- attempts. Those that were not counted leave the breaker as it is.
  /// May one go? If not, `next_attempt` says when.
  bool allow(time_point now) { return breaker_.allow(now); }
  std::optional<time_point> next_attempt() const { return breaker_.next_deadline(); }
  void connecting(time_point now) { monitor_.connecting(now); }
  void opened(time_point now);
  /// The session ended, or an attempt failed. `counts`: the other end is to blame.
  void closed(const std::string& cause, bool counts, time_point now);

  // -- the session
  /// A batch went. While an earlier copy of it is unanswered, that one is waited for.
  void sent(const std::string& record_class, std::uint64_t first, std::uint64_t bytes, bool historical, time_point now);
  /// The destination has these numbers, or (`first` alone) refused the batch that begins there.
  void answered(const std::string& record_class, std::uint64_t first, std::uint64_t last, time_point now);
  /// False: no answer to one of our pings.
  bool pong(std::uint64_t id, time_point now);
  void heard(time_point now) { monitor_.heard(now); }
  void path(const net::path_figures& figures, time_point now);
  void kernel(bool carrier, bool route, time_point now);

  void tick(time_point now) { monitor_.tick(now); }
  std::optional<time_point> next_deadline() const;
  outcome take(time_point now);

  link::health health(time_point now) const;
  const std::string& cause() const noexcept { return cause_; }
  std::uint64_t suspicions() const noexcept { return suspicions_; }
  std::uint64_t wire_bytes() const noexcept { return earlier_wire_ + wire_; }
  const link::monitor& monitor() const noexcept { return monitor_; }
  const link::circuit_breaker& breaker() const noexcept { return breaker_; }
  void describe(v1::LinkStatus& out, time_point now) const;

private:
  /// Of pings: the heartbeat counts from 1, ours have this bit.
  static constexpr std::uint64_t ours = std::uint64_t{1} << 63;

  link::monitor monitor_;
  link::circuit_breaker breaker_;
  link::clock::duration grace_;          // in which the answer of a session that is down may still come
  std::optional<time_point> give_up_at_;
  bool standing_ = false;
  bool carrier_ = true;
  bool route_ = true;
  link::health told_ = link::health::connecting;
  std::string cause_;
  std::map<std::string, std::map<std::uint64_t, std::uint64_t>> sent_;  // class -> first number -> id
  std::uint64_t last_id_ = 0;
  std::uint64_t proofs_ = 0;        // of which the breaker knows
  std::uint64_t suspicions_ = 0;
  std::uint64_t earlier_wire_ = 0;  // of connections that ended
  std::uint64_t wire_ = 0;
};

} // namespace holdfast::uplink
