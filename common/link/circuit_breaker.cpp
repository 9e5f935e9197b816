#include "common/link/circuit_breaker.hpp"

#include <algorithm>

namespace holdfast::link {

const char* to_string(breaker_state state) {
  static constexpr const char* names[] = {"closed", "open", "half-open"};
  return names[static_cast<int>(state)];
}

breaker_state circuit_breaker::state(time_point now) const {
  if (closed_)
    return breaker_state::closed;
  return trials_ > 0 || now >= due_ ? breaker_state::half_open : breaker_state::open;
}

bool circuit_breaker::allow(time_point now) {
  if (closed_)
    return true;
  if (now >= due_) {
    trials_ = successes_ = 0;
    due_ = now + settings_.open;
  } else if (trials_ == 0 || trials_ >= settings_.trials) {
    return false;
  }
  ++trials_;
  return true;
}

void circuit_breaker::outcome(bool good, time_point now) {
  if (!closed_) {
    if (!good)
      open(now);
    else if (trials_ > 0 && ++successes_ >= settings_.trials)
      closed_ = true;
    return;
  }
  recent_.push_back({now, good});
  if (recent_.size() > settings_.window)
    recent_.pop_front();
  while (now - recent_.front().at > settings_.age)
    recent_.pop_front();
  if (!good && recent_.size() >= settings_.minimum && errors(now) >= settings_.errors)
    open(now);
}

void circuit_breaker::open(time_point now) {
  openings_ += closed_ ? 1 : 0;
  closed_ = false;
  trials_ = successes_ = 0;
  due_ = now + settings_.open;
  recent_.clear();
}

double circuit_breaker::errors(time_point now) const {
  std::size_t all = 0;
  std::size_t bad = 0;
  for (const auto& r : recent_)
    if (now - r.at <= settings_.age) {
      ++all;
      bad += r.good ? 0 : 1;
    }
  return all == 0 ? 0 : static_cast<double>(bad) / static_cast<double>(all);
}

std::optional<time_point> circuit_breaker::next_deadline() const {
  return closed_ ? std::nullopt : std::optional(due_);
}

} // namespace holdfast::link
