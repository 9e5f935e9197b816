#include "services/acquisition/modbus/schedule.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::acquisition::modbus {

namespace {

std::int64_t whole_periods(schedule::time_point due, schedule::time_point now, schedule::duration period) {
  return now <= due ? 0 : (now - due) / period;
}

} // namespace

schedule::schedule(const std::vector<config::modbus_device>& devices, time_point start) {
  devices_.reserve(devices.size());
  for (const auto& configured : devices) {
    device d;
    d.config = &configured;
    for (auto& group : plan(configured)) {
      const duration period = std::max(group.period, std::chrono::milliseconds(1));
      d.entries.push_back({std::move(group), period, start});
    }
    devices_.push_back(std::move(d));
  }
}

/// Of those that may be asked now.
std::list<schedule::entry>::iterator schedule::earliest(device& d, time_point now) const {
  auto best = d.entries.end();
  for (auto e = d.entries.begin(); e != d.entries.end(); ++e)
    if (ready(d, *e) <= now && (best == d.entries.end() || e->due < best->due))
      best = e;
  return best;
}

schedule::time_point schedule::ready(const device& d) const {
  auto first = time_point::max();
  for (const auto& e : d.entries)
    first = std::min(first, ready(d, e));
  return first;
}

schedule::time_point schedule::ready(const device& d, const entry& e) const {
  const auto at = std::max(e.due, d.not_before);
  const auto* late = overdue_.like(d.config->unit, e.group);
  if (!late || (same(late->asked, e.group) && !waited_for(d, e)))
    return at;
  return std::max(at, late->until);
}

/// Whether something has been due for longer than this, and an answer to this would fit it.
bool schedule::waited_for(const device& d, const entry& e) const {
  for (const auto& other : devices_)
    if (other.config->unit == d.config->unit)
      for (const auto& o : other.entries)
        if (o.due < e.due && alike(o.group, e.group) && !same(o.group, e.group))
          return true;
  return false;
}

/// Moves what lies behind to its latest slot, uncounted.
void schedule::skip_to(device& d, time_point now) {
  for (auto& e : d.entries)
    e.due += whole_periods(e.due, now, e.period) * e.period;
}

std::optional<schedule::task> schedule::take(time_point now) {
  current_ = nullptr;
  for (auto& d : devices_) {
    if (d.open)
      skip_to(d, now);
    if (ready(d) <= now && (!current_ || d.turn < current_->turn))
      current_ = &d;
  }
  if (!current_)
    return std::nullopt;
  auto& d = *current_;
  d.turn = ++turns_;
  running_ = earliest(d, now);
  const auto missed = whole_periods(running_->due, now, running_->period);
  slot_ = running_->due + missed * running_->period;
  running_->due = slot_ + running_->period;
  return task{static_cast<std::size_t>(&d - devices_.data()), &running_->group, slot_,
              static_cast<std::uint64_t>(missed), overdue_.doubtful(d.config->unit, running_->group, now)};
}

schedule::time_point schedule::next_due() const {
  auto due = time_point::max();
  for (const auto& d : devices_)
    due = std::min(due, ready(d));
  return due;
}

bool schedule::change(device& d, device_state to) {
  return std::exchange(d.state, to) != to;
}

void schedule::owed(time_point now, duration late) {
  overdue_.expect(current_->config->unit, running_->group, now + late, now);
}

bool schedule::answered() {
  auto& d = *current_;
  d.failures = 0;
  d.not_before = {};
  d.open = false;
  running_->period = std::max<duration>(running_->group.period, std::chrono::milliseconds(1));
  running_->due = slot_ + running_->period;
  return change(d, device_state::online);
}

bool schedule::silent(time_point now, duration rest) {
  auto& d = *current_;
  d.not_before = now + rest;
  ++d.failures;
  if (!d.open && d.failures < d.config->breaker_failures)
    return false;
  d.open = true;
  d.not_before = now + std::max<duration>(rest, d.config->breaker_pause);
  return change(d, device_state::offline);
}

bool schedule::refused() {
  auto& d = *current_;
  if (running_->group.points.size() < 2) {
    running_->period = std::max<duration>(running_->group.period, refused_pause);
    running_->due = slot_ + running_->period;
    return false;
  }
  for (auto& part : split(running_->group, *d.config))
    d.entries.push_back({std::move(part), running_->period, slot_});
  d.entries.erase(running_);
  return true;
}

std::vector<std::size_t> schedule::bus_lost() {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i != devices_.size(); ++i)
    if (change(devices_[i], device_state::offline))
      out.push_back(i);
  return out;
}

void schedule::bus_back(time_point now) {
  for (auto& d : devices_) {
    skip_to(d, now);
    d.not_before = now;
  }
}

} // namespace holdfast::acquisition::modbus
