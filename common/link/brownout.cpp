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
  if (evidence_ >= (degraded_ ? settings_.leave : settings_.enter)) {
    degraded_ = !degraded_;
    evidence_ = piece_base_ = 0;
  }
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
  p95_ = quantile(0.95);
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

void delay_test::judge(seconds width) {
  if (baseline_ == 0)
    baseline_ = p95_;
  const bool bad = p95_ >= settings_.enter * baseline_ && p95_ - baseline_ >= seconds(settings_.rise).count();
  in_a_row_ = (degraded_ ? calm() : bad) ? in_a_row_ + 1 : 0;
  if (in_a_row_ >= (degraded_ ? settings_.leave_windows : settings_.enter_windows)) {
    degraded_ = !degraded_;
    in_a_row_ = 0;
  }
  if (!degraded_ && !bad)
    learn(width);
}

void delay_test::learn(seconds width) {
  const double memory = seconds(settings_.memory).count() / (p95_ < baseline_ ? 10 : 1);
  baseline_ += (p95_ - baseline_) * (1 - std::exp(-width.count() / memory));
}

// -- both -------------------------------------------------------------------------------------------------------------

void brownout::data_round_trip(clock::duration round_trip, time_point now) {
  last_data_ = now;
  calm_ = 0;
  data_.sample(round_trip, now);
}

void brownout::probe_round_trip(clock::duration round_trip, time_point now) {
  if (!probes_.sample(round_trip, now) || probes_.window_began() < last_data_)
    return;
  // Traffic has moved away: no acknowledgement will ever say that the link is well again. The probes do.
  calm_ = probes_.calm() && !probes_.degraded() ? calm_ + 1 : 0;
  if (calm_ >= delay_.leave_windows)
    data_.forgive();
}

std::string brownout::cause() const {
  if (loss_.degraded())
    return fmt::format("{:.1f} % of packets lost", loss_.loss() * 100);
  for (const auto* t : {&data_, &probes_})
    if (t->degraded())
      return fmt::format("p95 round trip {:.0f} ms instead of {:.0f} ms", t->p95().count() * 1e3,
                         t->baseline().count() * 1e3);
  return {};
}

} // namespace holdfast::link
