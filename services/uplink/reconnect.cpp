#include "services/uplink/reconnect.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::uplink {

void reconnect::established(time_point now) {
  standing_ = true;
  sent_ = useful_ = false;
  since_ = now;
  attempts_ = 0;
}

bool reconnect::stood(time_point now) const {
  const auto enough = useful_ ? settings_.first : sent_ ? settings_.stable : settings_.cap;
  return now - since_ >= std::min(enough, settings_.stable) || (backoffs_ == 0 && quick_left_ == 0);
}

void reconnect::lost(time_point now) {
  const bool session = std::exchange(standing_, false);
  if (session && sent_)
    vain_ = !useful_;
  if (session && stood(now))
    return begin();
  attempts_ += session ? 0 : 1;
  step();
  if (session && useful_)
    backoffs_ = std::min(backoffs_, 1U);
}

void reconnect::begin() {
  quick_left_ = settings_.quick_attempts;
  backoffs_ = quick_left_ == 0 ? 1 : 0;
}

void reconnect::step() {
  if (quick_left_ > 0)
    --quick_left_;
  if (quick_left_ == 0)
    ++backoffs_;
}

std::chrono::milliseconds reconnect::wait(double chance) const {
  const auto up_to = [chance](std::chrono::milliseconds most) {
    return std::chrono::milliseconds(static_cast<long>(chance * static_cast<double>(most.count())));
  };
  // Of these the lower half is certain: a random time alone might be none.
  if (quick_left_ > 0)
    return settings_.quick / 2 + up_to(settings_.quick / 2);
  if (unavailable())
    return settings_.cap / 2 + up_to(settings_.cap / 2);
  auto ceiling = settings_.first;
  for (unsigned n = 1; n < backoffs_ && ceiling < settings_.cap; ++n)
    ceiling *= 2;
  return up_to(std::min(ceiling, settings_.cap));
}

} // namespace holdfast::uplink
