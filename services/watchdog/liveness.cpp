#include "services/watchdog/liveness.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::watchdog {

namespace {

// A busy machine delays our own ticks by this much without anything being wrong.
constexpr milliseconds tolerated_delay{500};
// A loop's own limit may be 2 s, whatever the configured one is: after a sleep of half that its age tells nothing.
constexpr milliseconds longest_delay{1000};

std::int64_t millis(time_point from, time_point to) {
  return std::chrono::duration_cast<milliseconds>(to - from).count();
}

} // namespace

std::string overdue_loop(const heartbeat& h) {
  for (auto& l : h.loops)
    if (l.age > l.limit)
      return fmt::format("loop {} made no progress for {} ms (limit {} ms)", l.name, l.age.count(), l.limit.count());
  return {};
}

liveness::liveness(const config::watchdog& limits, std::size_t services) : limits_(limits), watched_(services) {}

void liveness::watch(std::size_t service, long pid, time_point began, time_point now) {
  auto& w = watched_[service];
  w = {.active = true, .pid = pid, .retired = w.retired};
  w.first_due = std::max(began + limits_.start_limit, now + limits_.limit);  // adopted: it has long been up
}

void liveness::forget(std::size_t service) {
  auto& w = watched_[service];
  w = {.retired = w.incarnation != 0 ? w.incarnation : w.retired};
}

liveness::effect liveness::beat(std::size_t service, const heartbeat& h, time_point now) {
  auto& w = watched_[service];
  const bool other_process = w.pid != 0 && h.pid != w.pid;
  if (!w.active || other_process || (h.incarnation != 0 && h.incarnation == w.retired))
    return effect::ignored;
  check_own_pace(now);
  const bool first = !w.last || w.incarnation != h.incarnation;
  if (w.incarnation != h.incarnation) {
    w.retired = w.incarnation != 0 ? w.incarnation : w.retired;
    w.incarnation = h.incarnation;
  }
  w.last = now;
  w.stuck = overdue_loop(h);
  const bool recovered = w.hung && w.stuck.empty();
  if (recovered)
    w.hung = false;
  return first ? effect::first : recovered ? effect::recovered : effect::ordinary;
}

std::vector<liveness::finding> liveness::tick(time_point now) {
  check_own_pace(now);
  last_tick_ = now;
  std::vector<finding> out;
  if (now < fresh_until_)
    return out;
  for (std::size_t i = 0; i < watched_.size(); ++i) {
    auto& w = watched_[i];
    if (!w.active || w.hung)
      continue;
    if (auto reason = trouble(w, now)) {
      w.hung = true;
      out.push_back({i, std::move(*reason)});
    }
  }
  return out;
}

std::optional<std::string> liveness::trouble(const watched& w, time_point now) const {
  if (now > due(w) && !w.last)
    return fmt::format("no first heartbeat (limit {} ms from its start)", limits_.start_limit.count());
  if (now > due(w))
    return fmt::format("no heartbeat for {} ms (limit {} ms)", millis(*w.last, now), limits_.limit.count());
  if (!w.stuck.empty())
    return w.stuck;
  return std::nullopt;
}

// The last moment at which all is still well.
time_point liveness::due(const watched& w) const { return w.last ? *w.last + limits_.limit : w.first_due; }

std::optional<time_point> liveness::next_due() const {
  std::optional<time_point> next;
  for (auto& w : watched_) {
    if (!w.active || w.hung)
      continue;
    const auto at = std::max(due(w) + milliseconds(1), fresh_until_);
    next = next ? std::min(*next, at) : at;
  }
  return next;
}

bool liveness::all_seen() const {
  return std::all_of(watched_.begin(), watched_.end(), [](auto& w) { return w.last.has_value(); });
}

void liveness::check_own_pace(time_point now) {
  const auto most = std::clamp<milliseconds>(limits_.limit / 2, tolerated_delay, longest_delay);
  if (last_tick_ && now - *last_tick_ > most)
    excuse(now);
}

// What the last heartbeats said is as old as our sleep: it counts no more.
void liveness::excuse(time_point now) {
  if (now >= fresh_until_ || now - counted_ >= limits_.limit) {  // late again and again: that must be seen outside
    ++excuses_;
    counted_ = now;
  }
  fresh_until_ = now + limits_.limit;
  for (auto& w : watched_)
    w.stuck.clear();
}

} // namespace holdfast::watchdog
