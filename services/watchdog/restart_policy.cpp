#include "services/watchdog/restart_policy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace holdfast::watchdog {

namespace {

constexpr int exit_running = 73;  // service::run: another process holds the instance's lock
constexpr int exit_config = 78;   // service::run: the configuration is wrong

milliseconds span(time_point from, time_point to) { return std::chrono::duration_cast<milliseconds>(to - from); }

const char* advice(const exit_status& status, bool holder_ended) {
  if (status.code == exit_config)
    return ": its configuration is wrong, see its log or holdfastctl check";
  if (status.code == exit_running && holder_ended)
    return ": its predecessor was still ending";
  if (status.code == exit_running)
    return ": another process already runs as this service";
  return "";
}

} // namespace

std::string exit_status::text() const {
  if (code)
    return fmt::format("exited with code {}", *code);
  if (signal) {
    const char* name = ::sigabbrev_np(*signal);
    return name != nullptr ? fmt::format("killed by SIG{}", name) : fmt::format("killed by signal {}", *signal);
  }
  return "ended (adopted, cause unknown)";
}

restart_policy::restart_policy(const config::watchdog& limits, std::size_t services, milliseconds stop_budget)
    : limits_(limits), stop_budget_(stop_budget), members_(services, member{.history = restart_history(limits)}) {}

void restart_policy::emit(action::type what, std::size_t service, milliseconds wait, std::string reason) {
  actions_.push_back({what, service, wait, std::move(reason)});
}

std::vector<action> restart_policy::take() { return std::exchange(actions_, {}); }

unsigned restart_policy::restarts(std::size_t service) const {
  return std::max(members_[service].starts, 1U) - 1;
}

// -- events -----------------------------------------------------------------------------------------------------------

void restart_policy::start(time_point now) {
  for (auto& m : members_)
    m.again = true;
  converge(now);
}

void restart_policy::started(std::size_t service, time_point began) {
  auto& m = members_[service];
  m.now = phase::running;
  m.began = began;
  m.killed = false;
  m.hang.clear();
  ++m.starts;
}

void restart_policy::start_failed(std::size_t service, const std::string& cause, time_point now) {
  auto& m = members_[service];
  ++m.starts;
  m.began = now;
  failed(service, cause, false, now);
  converge(now);
}

void restart_policy::exited(std::size_t service, const exit_status& status, time_point now, bool holder_ended) {
  auto& m = members_[service];
  if (m.now != phase::running && m.now != phase::ending)
    return;
  m.now = phase::down;
  if (stopping() || m.again) {
    emit(action::type::ended, service, {}, status.text());
  } else {
    const bool hopeless = status.code == exit_config || (status.code == exit_running && !holder_ended);
    const auto hang = m.hang.empty() ? "" : fmt::format(" after it hung: {}", m.hang);
    failed(service, status.text() + hang + advice(status, holder_ended), hopeless, now);
  }
  converge(now);
}

void restart_policy::failed(std::size_t service, const std::string& reason, bool hopeless, time_point now) {
  auto& m = members_[service];
  const auto life = span(m.began, now);
  settle(service, life);
  const auto next = m.history.failed(life, hopeless, now);
  if (stopping()) {
    m.now = phase::down;
    return;
  }
  m.now = phase::waiting;
  m.due = now + next.wait;
  emit(action::type::failed, service, next.wait, reason);
  if (next.quarantine_begins)
    emit(action::type::quarantined, service, next.wait, reason);
  if (next.wait == milliseconds(0))
    again(service);
}

void restart_policy::hung(std::size_t service, const std::string& reason, bool frozen, time_point now) {
  auto& m = members_[service];
  if (m.now != phase::running)
    return;
  m.now = phase::ending;
  m.hang = reason;
  m.due = now + limits_.abort_grace;
  if (frozen || limits_.abort_grace == milliseconds(0))
    return kill(service);
  emit(action::type::abort, service, {}, reason);
}

void restart_policy::restart(std::size_t service, time_point now) {
  if (stopping())
    return;
  again(service);
  converge(now);
}

void restart_policy::stop(time_point now) {
  if (stopping())
    return;
  stop_began_ = now;
  for (auto& m : members_) {
    m.again = false;
    if (m.now == phase::waiting)
      m.now = phase::down;
  }
  converge(now);
}

void restart_policy::tick(time_point now) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    auto& m = members_[i];
    if (m.now == phase::running)
      settle(i, span(m.began, now));
    if (m.now == phase::ending && !m.killed && now >= m.due)
      kill(i);
    if (m.now == phase::waiting && !m.again && now >= m.due)
      again(i);
  }
  if (stopping())
    hurry(now);
  converge(now);
}

std::optional<time_point> restart_policy::next_due() const {
  std::optional<time_point> next;
  const auto consider = [&](time_point t) { next = next ? std::min(*next, t) : t; };
  for (const auto& m : members_) {
    const bool ending = m.now == phase::ending && !m.killed;
    if (ending || (m.now == phase::waiting && !m.again))
      consider(m.due);
    if (stopping() && m.now == phase::running)
      consider(*stop_began_ + stop_budget_ / 2);
    if (stopping() && ending)
      consider(*stop_began_ + stop_budget_);
  }
  return next;
}

// -- steps ------------------------------------------------------------------------------------------------------------

void restart_policy::settle(std::size_t service, milliseconds life) {
  if (members_[service].history.settle(life))
    emit(action::type::recovered, service, {}, fmt::format("stable for {} ms", limits_.stable.count()));
}

void restart_policy::again(std::size_t service) {
  members_[service].again = true;
  if (limits_.strategy != config::restart_strategy::rest_for_one)
    return;
  for (auto i = service + 1; i < members_.size(); ++i)
    if (members_[i].now == phase::running || members_[i].now == phase::ending)
      members_[i].again = true;
}

void restart_policy::terminate(std::size_t service, time_point now) {
  auto& m = members_[service];
  m.now = phase::ending;
  m.due = now + limits_.stop_grace;
  emit(action::type::terminate, service);
}

void restart_policy::kill(std::size_t service) {
  members_[service].killed = true;
  emit(action::type::kill, service, {}, members_[service].hang);
}

// A service that does not obey must not cost the others their ordered end.
void restart_policy::hurry(time_point now) {
  const auto spent = span(*stop_began_, now);
  for (auto i = members_.size(); i-- > 0;) {
    if (members_[i].now == phase::running && spent >= stop_budget_ / 2)
      terminate(i, now);
    if (members_[i].now == phase::ending && !members_[i].killed && spent >= stop_budget_)
      kill(i);
  }
}

// One step towards what is wanted: ends from the right, then starts from the left. Each exit calls it again.
void restart_policy::converge(time_point now) {
  if (stopping())
    return converge_to_stop(now);
  const bool ordered = limits_.strategy == config::restart_strategy::rest_for_one;
  for (auto i = members_.size(); i-- > 0;) {
    auto& m = members_[i];
    if (!m.again || (m.now != phase::running && m.now != phase::ending))
      continue;
    if (m.now == phase::running)
      terminate(i, now);
    if (ordered)
      return;
  }
  for (std::size_t i = 0; i < members_.size(); ++i) {
    auto& m = members_[i];
    if (m.again && (m.now == phase::down || m.now == phase::waiting)) {
      m.again = false;
      m.now = phase::starting;
      emit(action::type::start, i);
    }
  }
}

void restart_policy::converge_to_stop(time_point now) {
  bool alive = false;
  for (auto i = members_.size(); i-- > 0 && !alive;) {
    if (members_[i].now == phase::running)
      terminate(i, now);
    alive = members_[i].now == phase::ending || members_[i].now == phase::starting;
  }
  if (!alive && !std::exchange(told_all_gone_, true))
    emit(action::type::all_gone);
}

} // namespace holdfast::watchdog
