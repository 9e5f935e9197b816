#include "common/link/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace holdfast::link {

namespace {

long long ms(clock::duration d) { return std::chrono::duration_cast<milliseconds>(d).count(); }

constexpr milliseconds tcp_idle{200};  // Linux: the least time without data after which TCP starts slowly again

// A quarter of an hour's worth at once: bursts are rare, but must not wait.
token_bucket probe_allowance(const monitor_settings& s) {
  const auto budget = static_cast<double>(s.probe_budget);
  return {budget / 86400, budget / 96};
}

} // namespace

monitor::monitor(const profile& p)
    : settings_(p.monitor), brownout_(p.loss, p.delay), rate_(p.monitor.assumed_rate),
      budget_(probe_allowance(p.monitor)) {}

std::vector<monitor::action> monitor::take() { return std::exchange(actions_, {}); }

health monitor::health() const {
  const bool degraded = base_ == health::up && (!stalled_.empty() || brownout_.degraded());
  return degraded ? health::degraded : base_;
}

void monitor::tell(const std::string& cause) {
  const auto now = health();
  if (now == told_)
    return;
  // Why it is degraded, whatever happened: it may have been before.
  const auto& why = now != health::degraded ? cause : brownout_.degraded() ? brownout_.cause() : stalled_;
  actions_.push_back({action::type::changed, 0, std::exchange(told_, now), now, why});
}

void monitor::tell_quality() { tell("works well again"); }

void monitor::set(link::health base, const std::string& cause, time_point now) {
  if (base == health::down)
    forget_flight();
  if (base == health::suspect) {
    suspect_since_ = next_burst_ = now;
    burst_left_ = settings_.burst;
    burst_taken_ = tcp_ ? tcp_->bytes_acked + in_flight_ + settings_.burst * settings_.probe_bytes : 0;
  }
  base_ = base;
  tell(cause);
}

// -- the session ------------------------------------------------------------------------------------------------------

void monitor::forget_flight() {
  data_.clear();
  probes_.clear();
  in_flight_ = loaded_in_flight_ = 0;
  stalled_.clear();
}

void monitor::connecting(time_point now) {
  open_ = false;
  forget_flight();
  set(health::connecting, "connecting", now);
}

void monitor::opened(time_point now) {
  forget_flight();
  window_.restart();
  open_ = carrier_ = route_ = true;
  tcp_.reset();
  last_proof_ = last_progress_ = last_heard_ = last_probe_ = now;
  set(health::up, "session stands", now);
}

void monitor::closed(const std::string& cause, time_point now) {
  open_ = false;
  set(health::down, cause, now);
}

void monitor::carrier(bool present, time_point now) {
  carrier_ = present;
  if (!present && base_ != health::down)
    set(health::down, "carrier lost", now);
}

void monitor::route(bool present, time_point now) {
  route_ = present;
  if (!present && base_ != health::down)
    set(health::down, "route gone", now);
}

// -- data and probes --------------------------------------------------------------------------------------------------

void monitor::sent(std::uint64_t id, std::uint64_t bytes, time_point now, bool loaded) {
  if (data_.empty()) {
    if (now - last_progress_ > std::max<seconds>(tcp_idle, round_trip_.smoothed() + 4 * round_trip_.variation()))
      window_.restart();
    last_progress_ = now;
  }
  loaded = loaded || loaded_in_flight_ > 0;
  bytes = std::max<std::uint64_t>(bytes, 1);
  const auto rounds = window_.rounds(data_.size() + 1, in_flight_ + bytes);
  data_.push_back({id, bytes, in_flight_, delivered_, rounds, now, loaded});
  in_flight_ += bytes;
  window_.sent(data_.size(), in_flight_);
  loaded_in_flight_ += loaded ? 1 : 0;
}

void monitor::confirm(item& i) {
  i.done = true;
  in_flight_ -= i.bytes;
  delivered_ += i.bytes;
  window_.delivered(i.bytes);
  loaded_in_flight_ -= i.loaded ? 1 : 0;
}

void monitor::acknowledged(std::uint64_t id, time_point now) {
  last_heard_ = now;
  const auto at = std::lower_bound(data_.begin(), data_.end(), id,
                                   [](const item& i, std::uint64_t wanted) { return i.id < wanted; });
  if (at == data_.end() || at->id != id || at->done)
    return;
  confirm(*at);
  completed(*at, now);
}

void monitor::acknowledged_to(std::uint64_t id, time_point now) {
  last_heard_ = now;
  item* newest = nullptr;
  for (auto at = data_.begin(); at != data_.end() && at->id <= id; ++at)
    if (!at->done) {
      newest = &*at;
      confirm(*at);
    }
  if (newest != nullptr)
    completed(*newest, now);
}

void monitor::completed(item newest, time_point now) {
  const seconds took = now - newest.sent;
  const bool busy = newest.ahead > 0 && round_trip_.measured() && took > 2 * round_trip_.shortest();
  rate_.sample(delivered_ - newest.delivered, took, busy);
  round_trip_.sample(newest.sent, now, newest.loaded);
  if (!newest.loaded && newest.rounds == 0)
    brownout_.data_round_trip(now - newest.sent, now);
  while (!data_.empty() && data_.front().done)
    data_.pop_front();
  while (!probes_.empty() && probes_.front().sent < newest.sent)
    probes_.pop_front();  // lost on a datagram transport: what went later has been answered
  last_progress_ = now;
  stalled_.clear();
  proof(now);
}

void monitor::probe(time_point now) {
  if (probes_.size() >= most_probes)
    probes_.pop_front();
  const auto rounds = std::min(window_.rounds(data_.size(), in_flight_), 1.0);  // ahead of all but the kernel's queue
  probes_.push_back({++last_probe_id_, 0, in_flight_, delivered_, rounds, now, loaded_in_flight_ > 0});
  last_probe_ = now;
  budget_.spend(settings_.probe_bytes, now);
  actions_.push_back({action::type::probe, last_probe_id_});
}

void monitor::probe_answered(std::uint64_t probe, time_point now) {
  last_heard_ = now;
  while (!probes_.empty() && probes_.front().id < probe)
    probes_.pop_front();
  if (probes_.empty() || probes_.front().id != probe)
    return;
  const auto answered = probes_.front();
  probes_.pop_front();
  round_trip_.sample(answered.sent, now, answered.loaded);
  if (!answered.loaded && answered.rounds == 0)
    brownout_.probe_round_trip(now - answered.sent, now);
  proof(now);
}

// A round trip was completed: the link is alive, whatever was thought of it.
void monitor::proof(time_point now) {
  if (!open_ || !carrier_ || !route_)
    return;
  ++proofs_;
  last_proof_ = now;
  excuses_in_a_row_ = 0;
  if (now - patience_since_ >= std::chrono::minutes(1)) {
    patience_ = 1 + (patience_ - 1) * std::exp2(-seconds(now - patience_since_) / seconds(settings_.patience_memory));
    patience_since_ = now;
  }
  if (base_ == health::up)
    return tell_quality();
  if (base_ == health::suspect) {
    ++false_suspicions_;
    if (last_limited_ < suspect_sent_)  // else it was our own queue
      patience_ = std::min(patience_ * settings_.patience_step, settings_.patience_limit);
    patience_since_ = now;
  }
  set(health::up, fmt::format("answers again after {} ms", ms(now - suspect_since_)), now);
}

void monitor::packets(std::uint64_t sent, std::uint64_t lost, time_point now) {
  brownout_.packets(sent, lost, now);
  tell_quality();
}

// The kernel's own acknowledgements. A modem or proxy on the way may give them, so they postpone but never prove; nor
// do they postpone a death when what was on its way at the suspicion, and the burst, must have been taken.
void monitor::tcp(const tcp_info& info, time_point now) {
  const auto before = std::exchange(tcp_, info);
  if (!before || info.segments < before->segments || info.retransmits < before->retransmits)
    return;
  if (info.bytes_acked > before->bytes_acked || info.delivered > before->delivered) {
    if (base_ != health::suspect || before->bytes_acked < burst_taken_)
      last_tcp_ = now;
    if (info.unsent)
      last_limited_ = now;
  }
  packets(info.segments - before->segments, info.retransmits - before->retransmits, now);
}

} // namespace holdfast::link
