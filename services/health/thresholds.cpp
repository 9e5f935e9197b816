#include "services/health/thresholds.hpp"

#include <fmt/format.h>

namespace holdfast::health {

namespace {

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(whole);
}

constexpr double mebibyte = 1024.0 * 1024.0;

} // namespace

void alarm_book::set(const std::string& name, verdict v, const std::string& text) {
  if (v == verdict::between)
    return;
  const bool raise = v == verdict::bad;
  const auto [it, fresh] = raised_.try_emplace(name, raise);
  if (!fresh && it->second == raise)
    return;
  it->second = raise;
  tell_(name, raise, text);
}

void alarm_book::judge_machine(const proc::machine& m) {
  const auto weigh = [](double share, double raise, double clear) {
    return share < raise ? verdict::bad : share >= clear ? verdict::good : verdict::between;
  };
  if (m.disk) {
    const auto free = share(m.disk->free_bytes, m.disk->total_bytes);
    set("disk_space", weigh(free, limits_.disk_free_raise, limits_.disk_free_clear),
        fmt::format("{:.1f} % ({:.0f} MiB) free on the filesystem of {}", 100 * free,
                    static_cast<double>(m.disk->free_bytes) / mebibyte, m.disk->directory));
  }
  if (m.memory) {
    const auto available = share(m.memory->available_bytes, m.memory->total_bytes);
    set("memory", weigh(available, limits_.memory_available_raise, limits_.memory_available_clear),
        fmt::format("{:.1f} % ({:.0f} MiB) of memory available", 100 * available,
                    static_cast<double>(m.memory->available_bytes) / mebibyte));
  }
}

alarm_book::verdict alarm_book::judge_one(const instance& i, milliseconds now) const {
  switch (judge(i, now)) {
    case presence::up: return now - i.up_since >= limits_.steady ? verdict::good : verdict::between;
    case presence::silent: return verdict::bad;
    case presence::stopped: return i.expected ? verdict::bad : verdict::good;
    case presence::unknown: return i.expected && now - started_ >= limits_.first_heartbeat ? verdict::bad : verdict::between;
  }
  return verdict::between;
}

void alarm_book::judge_presence(const std::vector<instance>& instances, milliseconds now) {
  for (auto& i : instances) {
    if (i.self)
      continue;
    const auto p = judge(i, now);
    const char* what = p == presence::up ? "sends heartbeats" : p == presence::stopped ? "was stopped" : "no heartbeat";
    set("silent:" + i.name, judge_one(i, now), fmt::format("{} {}", i.name, what));
  }
}

} // namespace holdfast::health
