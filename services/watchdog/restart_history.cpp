#include "services/watchdog/restart_history.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::watchdog {

milliseconds restart_history::backoff() {
  if (in_a_row_++ == 0)
    return milliseconds(0);
  auto wait = limits_.backoff_first;
  for (unsigned n = 2; n < in_a_row_ && wait < limits_.backoff_cap; ++n)
    wait *= 2;
  return std::min(wait, limits_.backoff_cap);
}

restart_history::decision restart_history::failed(milliseconds life, bool hopeless, time_point now) {
  settle(life);
  recent_.push_back(now);
  while (now - recent_.front() > limits_.period)
    recent_.pop_front();
  const auto wait = backoff();
  const bool begins = !quarantined_ && (hopeless || recent_.size() > limits_.intensity);
  quarantined_ = quarantined_ || begins;
  if (!quarantined_)
    return {wait, false};
  return {std::max(limits_.quarantine - life, milliseconds(0)), begins};  // from start to start
}

bool restart_history::settle(milliseconds life) {
  if (life < limits_.stable)
    return false;
  in_a_row_ = 0;
  recent_.clear();
  return std::exchange(quarantined_, false);
}

} // namespace holdfast::watchdog
