#include "services/acquisition/modbus/bus_master.hpp"

#include "common/core/time.hpp"
#include "common/telemetry/log.hpp"

#include <algorithm>
#include <numeric>
#include <span>

namespace holdfast::acquisition::modbus {

using namespace std::chrono_literals;

namespace {

constexpr auto longest_idle = 500ms;
constexpr auto backoff_first = 100ms;
constexpr auto backoff_cap = 2000ms; // an attempt costs a few packets on the plant's own network
/// A peer that restarts is back within the first attempts; only then its points lose their values.
constexpr unsigned attempts_until_lost = 3;
/// Of the thread's loop, beyond the longest request and its repetition.
constexpr auto pulse_margin = 5s;

std::chrono::milliseconds pulse_limit(const config::modbus_source& bus) {
  auto longest = 0ms;
  for (const auto& d : bus.devices)
    longest = std::max(longest, d.timeout);
  return 2 * longest + pulse_margin;
}

template <class T> std::span<const T> tail(const std::vector<T>& all, std::size_t from) {
  return std::span<const T>(all).subspan(std::min(from, all.size()));
}

timestamp stamp() {
  return {unix_nanos(), boottime_nanos()};
}

} // namespace

bus_master::bus_master(config::modbus_source bus, std::string source_name, bus_callbacks callbacks, pulse& beats,
                       metrics& figures)
    : bus_(std::move(bus)),
      source_(std::move(source_name)),
      callbacks_(std::move(callbacks)),
      schedule_(bus_.devices, clock::now()),
      line_(bus_.transport, [this] { return beat_->beat(), !stopping(); }),
      beat_(beats.add("modbus " + source_, pulse_limit(bus_))),
      random_(static_cast<std::minstd_rand::result_type>(random_id())) {
  for (const auto& configured : bus_.devices) {
    const metrics::labels labels{{"source", source_}, {"device", configured.name}};
    device d;
    for (const auto& p : configured.points)
      d.streams.push_back(configured.name + "/" + p.name);
    d.reports.resize(configured.points.size());
    d.requests = &figures.counter("holdfast_modbus_requests_total", "Requests to a device", labels);
    d.failures = &figures.counter("holdfast_modbus_failures_total", "Requests without values: silence or exception",
                                  labels);
    d.missed = &figures.counter("holdfast_modbus_missed_periods_total",
                                "Reads left out because the bus was too slow or stalled", labels);
    devices_.push_back(std::move(d));
  }
}

bus_master::~bus_master() {
  stop();
}

void bus_master::start() {
  if (!thread_.joinable())
    thread_ = std::thread([this] { run(); });
}

void bus_master::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  line_.interrupt();
  if (thread_.joinable())
    thread_.join();
}

bool bus_master::stopping() {
  std::lock_guard lock(mutex_);
  return stop_;
}

void bus_master::idle_until(clock::time_point t) {
  std::unique_lock lock(mutex_);
  wake_.wait_until(lock, std::min(t, clock::now() + longest_idle), [this] { return stop_; });
}

void bus_master::run() {
  while (!stopping()) {
    beat_->beat();
    if (!line_.is_open() && !connect())
      continue;
    if (const auto task = schedule_.take(clock::now()))
      serve(*task);
    else
      idle_until(schedule_.next_due());
  }
  line_.close();
}

/// The first attempt is made at once; then the pauses grow until a request ends in peace. An open connection alone
/// proves nothing: a gateway that is out of sessions accepts and closes again.
bool bus_master::connect() {
  if (clock::now() < next_attempt_) {
    idle_until(next_attempt_);
    return false;
  }
  ++attempts_;
  const auto problem = line_.open();
  next_attempt_ = clock::now() + backoff();
  if (stopping())
    return false;
  if (problem.empty()) {
    log::debug("source={} bus={} connected", source_, line_.name());
    if (std::exchange(down_, false))
      schedule_.bus_back(clock::now());
    return true;
  }
  log::debug("source={} attempt={} {}", source_, attempts_, problem);
  if (attempts_ >= attempts_until_lost) {
    down_ = true;
    for (auto i : schedule_.bus_lost())
      device_lost(i, problem);
  }
  return false;
}

std::chrono::milliseconds bus_master::backoff() {
  const auto doublings = std::min(attempts_ - 1, 7U);
  const auto pause = std::min(backoff_cap, std::chrono::milliseconds(backoff_first.count() << doublings));
  return std::chrono::milliseconds(
    std::uniform_int_distribution<std::int64_t>(pause.count() / 2, pause.count())(random_));
}

void bus_master::reset_backoff() {
  attempts_ = 0;
  next_attempt_ = {};
}

void bus_master::serve(const schedule::task& task) {
  const auto& configured = bus_.devices[task.device];
  auto& d = devices_[task.device];
  d.missed->add(static_cast<double>(task.missed));
  d.requests->add();
  auto a = line_.read(configured.unit, *task.group, configured.timeout);
  const auto at = stamp();
  if (stopping())
    return; // the silence is our own doing
  if (task.doubtful && a.how != outcome::values && a.how != outcome::broken) {
    a.how = outcome::silent; // it may have been another request's exception: then the answer to this one is to come
    a.owed = true;
  }
  if (a.how == outcome::values)
    publish(task, a, at);
  else
    d.failures->add();
  settle(task, a);
}

/// What the end of the request means for the device, the schedule and the bus.
void bus_master::settle(const schedule::task& task, const answer& a) {
  const auto& configured = bus_.devices[task.device];
  if (a.owed)
    schedule_.owed(clock::now(), late_limit(configured.timeout));
  if (a.how == outcome::silent || a.how == outcome::broken) {
    if (a.how == outcome::silent) // has cost its time already: where the line was closed for it, it is opened at once
      reset_backoff();
    const auto rest = a.how == outcome::silent ? line_.rest_after(configured.timeout) : 0ms;
    if (schedule_.silent(clock::now(), rest))
      device_lost(task.device, a.detail);
    return;
  }
  reset_backoff();
  if (schedule_.answered())
    publish_device(task.device, a.detail);
  if (a.how == outcome::values)
    return;
  const auto points = task.group->points; // refused() ends the group
  const auto first = devices_[task.device].streams[points.front()];
  if ((a.how == outcome::exception || !schedule_.refused()) && publish_bad(task.device, points))
    log::warn("source={} failed to read {} and {} more: {}", source_, first, points.size() - 1, a.detail);
}

void bus_master::publish(const schedule::task& task, const answer& a, timestamp at) {
  const auto& points = bus_.devices[task.device].points;
  auto& d = devices_[task.device];
  std::vector<sample> out;
  for (auto i : task.group->points) {
    const auto position = static_cast<std::size_t>(points[i].address - task.group->address);
    auto r = in_bit_table(points[i]) ? decode_bit(tail(a.bits, position))
                                     : decode(points[i], tail(a.registers, position));
    if (d.reports[i].take(points[i], r, task.slot))
      out.push_back({d.streams[i], at, std::move(r.value), r.quality});
  }
  if (!out.empty())
    callbacks_.on_samples(std::move(out));
}

/// Whether that was news to any of the points.
bool bus_master::publish_bad(std::size_t index, const std::vector<std::size_t>& points) {
  auto& d = devices_[index];
  const auto at = stamp();
  std::vector<sample> out;
  for (auto i : points)
    if (d.reports[i].take(bus_.devices[index].points[i], reading{}, clock::now()))
      out.push_back({d.streams[i], at, std::monostate{}, quality::bad});
  if (out.empty())
    return false;
  callbacks_.on_samples(std::move(out));
  return true;
}

void bus_master::publish_device(std::size_t index, const std::string& detail) {
  const auto state = schedule_.state(index);
  const auto& name = bus_.devices[index].name;
  if (state == device_state::online)
    log::info("source={} device={} state=online {}", source_, name, detail);
  else
    log::warn("source={} device={} state=offline {}", source_, name, detail);
  callbacks_.on_device(name, state, detail);
}

void bus_master::device_lost(std::size_t index, const std::string& detail) {
  publish_device(index, detail);
  std::vector<std::size_t> all(bus_.devices[index].points.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  publish_bad(index, all);
}

} // namespace holdfast::acquisition::modbus
