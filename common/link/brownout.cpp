#include "common/link/brownout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace holdfast::link {

// -- loss -------------------------------------------------------------------------------------------------------------

loss_test::loss_test(loss_settings settings)
    : settings_(settings), per_loss_(std::log(settings.bad / settings.good)),
      per_arrival_(std::log((1 - settings.bad) / (1 - settings.good))) {}

void loss_test::packets(std::uint64_t sent, std::uint64_t lost, time_point now) {
  lost = std::min(lost, sent);
  if (sent == 0)
    return;
  const auto losses = static_cast<double>(lost);
  const auto arrivals = static_cast<double>(sent - lost);
  const double memory = std::pow(0.99, static_cast<double>(sent));
  loss_ = loss_ * memory + losses / static_cast<double>(sent) * (1 - memory);
  if (now - piece_since_ >= settings_.piece) {
    piece_since_ = now;
    piece_base_ = evidence_;
  }
  const double for_bad = losses * per_loss_ + arrivals * per_arrival_;
  evidence_ = std::max(0.0, evidence_ + (degraded_ ? -for_bad : for_bad));
  if (!degraded_)
    evidence_ = std::min(evidence_, piece_base_ + settings_.enter / settings_.bursts * 1.0001);
  clean_ = lost > 0 ? 0 : clean_ + sent;
  if (lost > 0)
    last_loss_ = now;
  if (decided(now)) {
    degraded_ = !degraded_;
    evidence_ = piece_base_ = 0;
  }
}

bool loss_test::decided(time_point now) const {
  if (!degraded_)
    return evidence_ >= settings_.enter;
  return evidence_ >= settings_.leave || (clean_ >= settings_.clear && now - last_loss_ >= settings_.quiet);
}

// -- delay ------------------------------------------------------------------------------------------------------------

bool delay_test::sample(clock::duration round_trip, time_point now) {
  if (count_ == 0)
    since_ = now;
  const double octave = std::log2(std::max(seconds(round_trip).count(), shortest) / shortest);
  const auto bucket = std::min(static_cast<std::size_t>(octave * double{per_octave}), counts_.size() - 1);
  ++counts_[bucket];
  ++count_;
  const auto width = now - since_;
  if (width < settings_.window || count_ < settings_.samples)
    return false;
  median_.now = quantile(0.5);
  p95_.now = quantile(0.95);
  judge(width);
  counts_.fill(0);
  count_ = 0;
  return true;
}

double delay_test::quantile(double share) const {
  const auto wanted = static_cast<std::uint32_t>(std::ceil(share * count_));
  std::uint32_t seen = 0;
  std::size_t i = 0;
  while (i + 1 < counts_.size() && (seen += counts_[i]) < wanted)
    ++i;
  return shortest * std::exp2((static_cast<double>(i) + 0.5) / per_octave);
}

bool delay_test::bad(const level& l) const {
  return l.now >= settings_.enter * l.usual && l.now - l.usual >= seconds(settings_.rise).count();
}

bool delay_test::calm(const delay_test& usual) const {
  return median_.now <= settings_.leave * usual.median_.usual && p95_.now <= settings_.leave * usual.p95_.usual;
}

void delay_test::judge(seconds width) {
  if (p95_.usual == 0) {
    p95_.usual = p95_.now;
    median_.usual = median_.now;
  }
  const bool worse = bad(p95_) || bad(median_);
  in_a_row_ = (degraded_ ? calm() : worse) ? in_a_row_ + 1 : 0;
  if (in_a_row_ >= (degraded_ ? settings_.leave_windows : settings_.enter_windows)) {
    degraded_ = !degraded_;
    in_a_row_ = 0;
  }
  if (degraded_ || worse)
    return;
  learn(p95_, width);
  learn(median_, width);
  learned_ += width;
}

void delay_test::learn(level& l, seconds width) const {
  const auto fall = seconds(settings_.memory) / 10;
  const auto memory = l.now < l.usual ? fall : seconds(settings_.memory);
  const bool young = learned_ < fall && l.now < l.usual;  // the first windows may be of a session that just began
  l.usual += (l.now - l.usual) * (young ? 1 : 1 - std::exp(-width / memory));
}

std::string delay_test::text() const {
  const bool tail = bad(p95_) || !bad(median_);
  const auto& l = tail ? p95_ : median_;
  return fmt::format("{} round trip {:.0f} ms instead of {:.0f} ms", tail ? "p95" : "median", l.now * 1e3,
                     l.usual * 1e3);
}

// -- both -------------------------------------------------------------------------------------------------------------

void brownout::data_round_trip(clock::duration round_trip, time_point now) {
  if (!data_.sample(round_trip, now))
    return;
  last_window_ = now;
  calm_ = 0;
}

void brownout::probe_round_trip(clock::duration round_trip, time_point now) {
  if (!probes_.sample(round_trip, now) || probes_.window_began() < last_window_)
    return;
  // Traffic has moved away: too few acknowledgements will ever say that the link is well again. The probes do, where
  // they are also no slower than the data were: what is usual of probes may have been learned of the bad link alone.
  calm_ = probes_.calm() && !probes_.degraded() && probes_.calm(data_) ? calm_ + 1 : 0;
  if (calm_ >= delay_.leave_windows)
    data_.forgive();
}

std::string brownout::cause() const {
  if (loss_.degraded())
    return fmt::format("{:.1f} % of packets lost", loss_.loss() * 100);
  for (const auto* t : {&data_, &probes_})
    if (t->degraded())
      return t->text();
  return {};
}

} // namespace holdfast::link
