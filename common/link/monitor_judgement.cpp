#include "common/link/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::link {

namespace {

long long ms(clock::duration d) { return std::chrono::duration_cast<milliseconds>(d).count(); }

} // namespace

// -- how long is too long ---------------------------------------------------------------------------------------------

/// What the round trips so far ask for, within the bounds. A path that is longer than the failover time allows cannot
/// meet it; it is not called dead for that.
seconds monitor::learned(milliseconds floor) const {
  const seconds room = settings_.failover * 0.9;  // the rest is for a timer and the bytes of the item itself
  const auto most = std::max<seconds>({settings_.floor, room, round_trip_.shortest() * 1.25});
  return std::clamp<seconds>(round_trip_.smoothed() + 4 * round_trip_.variation(), floor, most) * patience_;
}

/// For an acknowledgement, without queues of our own.
seconds monitor::wait() const {
  return round_trip_.measured() ? learned(settings_.floor) : settings_.first_wait;
}

/// What the bytes before it, and its own, add to the round trip of an empty link: by the rate, or by TCP's slow start.
seconds monitor::allowance(const item& i) const {
  const auto empty = std::min<seconds>(round_trip_.shortest(), settings_.failover);
  return std::max(rate_.time_for(i.ahead + i.bytes) - empty, i.rounds * round_trip_.shortest());
}

/// What must be answered next. Data that are stalled no longer say anything about the path.
const monitor::item* monitor::oldest() const {
  const item* data = data_.empty() || !stalled_.empty() ? nullptr : &data_.front();
  const item* probe = probes_.empty() ? nullptr : &probes_.front();
  return data != nullptr && (probe == nullptr || data->sent <= probe->sent) ? data : probe;
}

time_point monitor::early_at(const item& i) const {
  const auto half = (wait() + std::min(round_trip_.smoothed(), wait())) / 2;  // between usual and overdue
  const auto quiet = seconds(settings_.gap) * patience_ / 2 + rate_.time_for(i.bytes);
  return std::max(i.sent + ticks(half + allowance(i)), last_proof_ + ticks(quiet));
}

bool monitor::early_pending(const item& i) const { return last_early_ < std::max(i.sent, last_proof_); }

// Answers to others are a reason to wait; the kernel's progress is one for as long again and no longer. Where it had
// more to send than it might, what waited goes within a round trip and is answered within another.
time_point monitor::suspect_at(const item& i) const {
  const double idle = i.bytes == 0 ? settings_.idle_patience : 1;
  const auto due = i.sent + ticks(wait() * idle + allowance(i));
  const auto longest = i.sent + ticks(wait() * idle + std::max(allowance(i), wait()));
  const auto quiet = ticks(seconds(settings_.gap) * patience_ + rate_.time_for(i.bytes));
  const auto window = last_limited_ + quiet + ticks(tcp_ ? seconds(2 * tcp_->rtt) : seconds(0));
  const auto kernel = std::min(std::max(last_tcp_ + quiet, window), longest);
  return std::max({due, last_proof_ + quiet, kernel, excused_until_});
}

time_point monitor::stalled_at() const {
  const auto& i = data_.front();
  return std::max(i.sent + ticks(wait() + allowance(i)), last_progress_) + settings_.stall;
}

/// Where the kernel has made progress: until its next. A lost packet may have it wait for its timer (RFC 6298; a fifth
/// of a second at least), and then for a round trip.
seconds monitor::kernel_wait() const {
  if (!tcp_ || tcp_->rtt == tcp_->rtt.zero())
    return settings_.burst_floor;
  const seconds timer = std::max<seconds>(milliseconds(200), tcp_->rtt + 4 * tcp_->variation);
  return std::clamp<seconds>(timer + tcp_->rtt, settings_.burst_floor, settings_.stall);
}

time_point monitor::down_at() const {
  return std::max({burst_end_, last_tcp_ + ticks(kernel_wait()), excused_until_});
}

seconds monitor::probe_pace(const monitor_settings& s, milliseconds wanted) {
  if (s.probe_budget == 0)
    return wanted;
  // The rest of the budget is left for bursts.
  const auto budget = 0.95 * static_cast<double>(s.probe_budget);
  return std::max<seconds>(wanted, seconds(86400 * static_cast<double>(s.probe_bytes) / budget));
}

std::optional<time_point> monitor::idle_at() const {
  const bool asking = base_ == health::down ? !carrier_ || !route_ : oldest() != nullptr;
  if (!open_ || asking || base_ == health::suspect || base_ == health::connecting)
    return std::nullopt;
  const auto last = base_ == health::down ? last_probe_ : std::max(last_proof_, last_probe_);
  const bool well = base_ == health::up && health() == health::up;
  const auto wanted = well ? settings_.idle_probe : settings_.recovery_probe;
  const auto soon = last + wanted;
  const auto due = last + ticks(probe_pace(settings_, wanted));
  if (settings_.probe_budget == 0)
    return due;
  // Whether a bad link is well again is worth half of what was saved up.
  const bool hurry = !well && budget_.level(soon) > static_cast<double>(settings_.probe_budget) / 96 / 2;
  return budget_.next(settings_.probe_bytes, hurry ? soon : due);
}

// -- judging ----------------------------------------------------------------------------------------------------------

std::optional<time_point> monitor::next_deadline() const {
  if (!open_)
    return std::nullopt;
  if (base_ == health::suspect)
    return burst_left_ > 0 ? next_burst_ : down_at();
  auto next = idle_at();
  const auto consider = [&](time_point t) { next = next ? std::min(*next, t) : t; };
  if (const auto* i = oldest(); i != nullptr && base_ == health::up) {
    consider(suspect_at(*i));
    if (early_pending(*i))
      consider(early_at(*i));
  }
  if (base_ == health::up && !data_.empty() && stalled_.empty())
    consider(stalled_at());
  return next;
}

/// Who was not awake cannot judge: what was answered meanwhile may still wait to be read.
bool monitor::excused(time_point deadline, time_point now) {
  if (now - deadline <= settings_.late || excuses_in_a_row_ >= 2)
    return false;
  ++excuses_in_a_row_;
  ++excuses_;
  excused_until_ = now + settings_.gap / 2;
  return true;
}

void monitor::judge_silence(time_point now) {
  if (!data_.empty() && stalled_.empty() && now >= stalled_at()) {
    stalled_ = fmt::format("data are not acknowledged for {} ms, though probes are answered", ms(now - last_progress_));
    tell(stalled_);
  }
  const auto* i = oldest();
  if (i == nullptr)
    return;
  if (const auto due = suspect_at(*i); now >= due) {
    if (excused(due, now))
      return;
    suspect_sent_ = i->sent;
    const auto* hint = last_heard_ > last_proof_ ? ", though the other end is heard" : "";
    return set(health::suspect, fmt::format("no answer for {} ms{}", ms(now - i->sent), hint), now);
  }
  if (early_pending(*i) && now >= early_at(*i)) {
    last_early_ = now;
    if (settings_.probe_budget == 0 || budget_.next(settings_.probe_bytes, now) <= now)
      probe(now);
  }
}

void monitor::judge_burst(time_point now) {
  if (burst_left_ == 0) {
    if (const auto due = down_at(); now >= due && !excused(due, now))
      set(health::down, fmt::format("silent for {} ms", ms(now - last_proof_)), now);
    return;
  }
  if (now < next_burst_)
    return;
  probe(now);
  --burst_left_;
  next_burst_ = now + std::max<clock::duration>(settings_.burst_spacing, ticks(round_trip_.smoothed() / 8));
  const auto queued = std::min<seconds>(allowance(probes_.back()), settings_.stall);
  burst_end_ = now + ticks(learned(settings_.burst_floor) + queued);
}

void monitor::tick(time_point now) {
  if (!open_)
    return;
  if (base_ == health::suspect)
    judge_burst(now);
  else if (base_ == health::up)
    judge_silence(now);
  if (base_ == health::suspect && burst_left_ == settings_.burst)
    judge_burst(now);  // the first probe of the burst goes with the suspicion
  if (const auto due = idle_at(); due && now >= *due)
    probe(now);
}

} // namespace holdfast::link
