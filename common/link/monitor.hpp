#pragma once

#include "common/link/brownout.hpp"
#include "common/link/health.hpp"
#include "common/link/pace.hpp"
#include "common/link/token_bucket.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::link {

/// Whether one link is alive, and how well (design section 7). Pure: events in, actions out, time passed in.
///
/// Acknowledgements of data are the probes. The oldest one that is missing becomes overdue like a TCP retransmission
/// (RFC 6298), within the profile's bounds, later for bytes that were queued before it, and not while other answers
/// keep coming. Half way there one early probe asks whether it is the path or only the collector that is slow. Overdue:
/// suspect, and a burst of probes; silence of the burst: down. An idle link is probed slowly, within its byte budget.
/// What the kernel knows (carrier, route, an error of the socket) acts at once.
class monitor {
public:
  struct action {
    enum class type {
      probe,    ///< send this one now; answer with probe_answered()
      changed,  ///< from one health to another
    };
    type what;
    std::uint64_t probe = 0;
    health from{};
    health to{};
    std::string cause{};
  };

  /// TCP_INFO, read before each tick() where the transport is TCP. Counters of this connection.
  struct tcp_info {
    std::uint64_t bytes_acked = 0;
    std::uint64_t delivered = 0;    ///< segments, also those beyond a hole (tcpi_delivered)
    std::uint64_t segments = 0;     ///< data segments sent, again ones included (tcpi_data_segs_out)
    std::uint64_t retransmits = 0;  ///< tcpi_total_retrans
    std::chrono::microseconds rtt{0};
    std::chrono::microseconds variation{0};
    bool unsent = false;            ///< more waits than may go now (tcpi_notsent_bytes)
  };

  explicit monitor(const profile& p);

  // -- the session
  void connecting(time_point now);
  void opened(time_point now);
  /// It ended or broke, whoever noticed: a TCP error, the shell's own decision.
  void closed(const std::string& cause, time_point now);
  void carrier(bool present, time_point now);
  void route(bool present, time_point now);

  // -- data and probes. Ids of data grow.
  /// `loaded`: the link is kept full (a backlog drains). Its round trips are our own queue and judge nothing.
  void sent(std::uint64_t id, std::uint64_t bytes, time_point now, bool loaded = false);
  void acknowledged(std::uint64_t id, time_point now);
  /// All up to and including this one.
  void acknowledged_to(std::uint64_t id, time_point now);
  void probe_answered(std::uint64_t probe, time_point now);
  /// Anything else that arrived: it proves one direction only.
  void heard(time_point now) { last_heard_ = now; }
  /// Losses a datagram transport sees itself.
  void packets(std::uint64_t sent, std::uint64_t lost, time_point now);
  void tcp(const tcp_info& info, time_point now);

  void tick(time_point now);
  /// When tick() has something to do, if nothing else happens.
  std::optional<time_point> next_deadline() const;
  /// The actions since the last call, in order.
  std::vector<action> take();

  link::health health() const;
  const link::round_trip& round_trip() const noexcept { return round_trip_; }
  const link::brownout& brownout() const noexcept { return brownout_; }
  double rate() const noexcept { return rate_.rate(); }
  /// Between two probes, where one per `wanted` is asked for and the budget permits less.
  static seconds probe_pace(const monitor_settings& s, milliseconds wanted);
  std::uint64_t in_flight() const noexcept { return in_flight_; }
  std::uint64_t proofs() const noexcept { return proofs_; }              ///< round trips that were completed
  std::uint64_t probes() const noexcept { return last_probe_id_; }
  std::uint64_t false_suspicions() const noexcept { return false_suspicions_; }
  std::uint64_t excuses() const noexcept { return excuses_; }            ///< own lateness that was not held against it

private:
  static constexpr std::size_t most_probes = 64;  // unanswered ones that are remembered

  struct item {
    std::uint64_t id = 0;
    std::uint64_t bytes = 0;      // 0: a probe
    std::uint64_t ahead = 0;      // in flight before it
    std::uint64_t delivered = 0;  // when it was sent
    double rounds = 0;            // round trips until it may go (send_window)
    time_point sent{};
    bool loaded = false;
    bool done = false;
  };

  // monitor.cpp: what happened
  void forget_flight();
  void confirm(item& i);
  void completed(item newest, time_point now);
  void proof(time_point now);
  void probe(time_point now);
  void set(link::health base, const std::string& cause, time_point now);
  void tell(const std::string& cause);
  void tell_quality();

  // monitor_judgement.cpp: what it means
  const item* oldest() const;
  seconds learned(milliseconds floor) const;
  seconds wait() const;
  seconds allowance(const item& i) const;
  time_point early_at(const item& i) const;
  time_point suspect_at(const item& i) const;
  time_point stalled_at() const;
  seconds kernel_wait() const;
  time_point down_at() const;
  std::optional<time_point> idle_at() const;
  bool early_pending(const item& i) const;
  bool excused(time_point deadline, time_point now);
  void judge_silence(time_point now);
  void judge_burst(time_point now);

  monitor_settings settings_;
  link::brownout brownout_;
  link::round_trip round_trip_;
  delivery_rate rate_;
  send_window window_;
  token_bucket budget_;

  link::health base_ = link::health::connecting;  // connecting, up, suspect or down; degraded comes on top of up
  link::health told_ = link::health::connecting;
  bool open_ = false;      // there is a session
  bool carrier_ = true;
  bool route_ = true;
  std::string stalled_;    // probes are answered, data are not: since when; empty: they are
  std::deque<item> data_;
  std::deque<item> probes_;
  std::uint64_t in_flight_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t loaded_in_flight_ = 0;
  std::uint64_t last_probe_id_ = 0;
  unsigned burst_left_ = 0;
  time_point next_burst_{};
  time_point burst_end_{};
  std::uint64_t burst_taken_ = 0;  // bytes_acked from which on the burst is at the other end's kernel
  time_point last_heard_{};
  time_point last_proof_{};      // a round trip was completed
  time_point last_progress_{};   // ... by data
  time_point last_tcp_{};        // ... by the kernel
  time_point last_limited_{};    // ... which had more to send than it might
  time_point last_probe_{};
  time_point last_early_{};
  time_point suspect_since_{};
  time_point suspect_sent_{};    // what was overdue
  time_point excused_until_{};
  unsigned excuses_in_a_row_ = 0;
  std::optional<tcp_info> tcp_;
  double patience_ = 1;
  time_point patience_since_{};
  std::uint64_t proofs_ = 0;
  std::uint64_t false_suspicions_ = 0;
  std::uint64_t excuses_ = 0;
  std::vector<action> actions_;
};

} // namespace holdfast::link
