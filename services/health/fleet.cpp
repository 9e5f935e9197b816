#include "services/health/fleet.hpp"

#include "holdfast/v1/envelope.pb.h"
#include "services/health/bounded.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::health {

namespace {

constexpr milliseconds status_period{60000};
constexpr milliseconds status_patience{5000};

/// A new process under the same name: nothing of the old one holds any more.
void begin_life(instance& i, std::uint64_t incarnation) {
  i.incarnation = incarnation;
  ++i.lives;
  i.sequences.clear();
  i.components.clear();
  i.alarms.clear();
  i.loops.clear();
  i.metrics = nullptr;
  i.usage.reset();
  i.status_stale = true;
}

/// "<kind>.<instance>": the instance.
std::string named_by(std::span<const blob> parts) {
  const auto topic = parts.empty() ? std::string_view{} : parts[0].view();
  const auto dot = topic.find('.');
  return dot == std::string_view::npos ? std::string{} : std::string(topic.substr(dot + 1));
}

bool readable(const std::string& peer, std::span<const blob> parts, v1::Envelope& envelope) {
  return parts.size() == 3 && envelope.ParseFromArray(parts[1].data(), static_cast<int>(parts[1].size()))
         && envelope.instance() == peer && envelope.seq() != 0;
}

} // namespace

const char* text(presence p) noexcept {
  switch (p) {
    case presence::unknown: return "unknown";
    case presence::up: return "up";
    case presence::silent: return "silent";
    case presence::stopped: return "stopped";
  }
  return "unknown";
}

presence judge(const instance& i, milliseconds now) noexcept {
  if (i.self)
    return presence::up;
  if (!i.heard)
    return presence::unknown;
  if (now - i.last_heartbeat <= fleet::silence_limit)
    return presence::up;
  return i.ended ? presence::stopped : presence::silent;
}

fleet::fleet(std::string gateway, std::string version, const std::vector<member>& members) {
  now_.gateway = std::move(gateway);
  now_.version = std::move(version);
  for (auto& m : members) {
    auto& i = now_.instances.emplace_back();
    i.name = m.name;
    i.expected = m.expected;
    i.self = m.self;
  }
}

instance* fleet::find(const std::string& name) {
  const auto it = std::find_if(now_.instances.begin(), now_.instances.end(), [&](auto& i) { return i.name == name; });
  return it == now_.instances.end() ? nullptr : &*it;
}

bool fleet::take(std::span<const blob> parts, instant now) {
  const auto peer = named_by(parts);
  auto* i = find(peer);
  if (i == nullptr || i->self) {
    ++now_.unattributed;
    return false;
  }
  v1::Envelope envelope;
  if (!readable(peer, parts, envelope)) {
    ++i->malformed;
    return false;
  }
  if (!number(*i, envelope, std::string(parts[0].view()), now))
    return true;
  i->service = cut(envelope.service());
  if (dispatch(*i, envelope.type(), parts[2], now))
    return true;
  ++i->malformed;
  return false;
}

// The first number of a topic is where we came in; from then on a hole is a lost message. False: seen before.
bool fleet::number(instance& i, const v1::Envelope& e, const std::string& topic, instant now) {
  if (e.incarnation() != i.incarnation) {
    begin_life(i, e.incarnation());
    if (i.lives > 1)
      note(now, i.name, "presence", "new incarnation");
  }
  auto* last = place(i.sequences, topic);
  if (last == nullptr)
    return true;
  if (e.seq() <= *last)
    return false;
  if (*last != 0 && e.seq() > *last + 1) {
    i.lost += e.seq() - *last - 1;
    i.status_stale = true;
  }
  *last = e.seq();
  ++i.received;
  return true;
}

bool fleet::status_due(milliseconds now) {
  if (status_asked_ && now - *status_asked_ < status_patience)
    return false;
  const bool due = std::any_of(now_.instances.begin(), now_.instances.end(), [&](auto& i) {
    const bool old = !i.status_taken || now - *i.status_taken >= status_period;
    return !i.self && (i.status_stale || old) && judge(i, now) == presence::up;
  });
  if (due)
    status_asked_ = now;
  return due;
}

void fleet::turn(instant now) {
  for (auto& i : now_.instances) {
    const auto p = judge(i, now.monotonic);
    if (p == i.shown || i.self)
      continue;
    if (p == presence::up)
      i.up_since = now.monotonic;
    note(now, i.name, "presence", fmt::format("{} -> {}", text(i.shown), text(p)));
    i.shown = p;
  }
}

void fleet::keep_self(instant now, std::int64_t pid, milliseconds uptime, std::vector<loop_age> loops,
                      std::shared_ptr<const v1::Metrics> metrics) {
  for (auto& i : now_.instances) {
    if (!i.self)
      continue;
    i.service = i.name;
    i.version = now_.version;
    i.state = "running";
    i.pid = pid;
    i.lives = 1;
    i.uptime = uptime;
    i.heard = true;
    i.last_heartbeat = now.monotonic;
    i.shown = presence::up;
    i.loops = std::move(loops);
    i.metrics = std::move(metrics);
    return;
  }
}

void fleet::note_own_alarm(const std::string& name, bool raised, const std::string& text, instant now) {
  for (auto& i : now_.instances) {
    if (!i.self)
      continue;
    if (raised)
      i.alarms[name] = {"critical", text, now.unix_millis};
    else if (i.alarms.erase(name) == 0)
      return;  // was never raised: nothing to tell
    note(now, i.name, "alarm", fmt::format("{} {}: {}", name, raised ? "raised" : "cleared", text));
  }
}

void fleet::set_usage(const std::string& name, std::optional<proc::usage> u) {
  if (auto* i = find(name))
    i->usage = std::move(u);
}

void fleet::note(instant now, const std::string& instance, std::string kind, std::string text) {
  now_.journal.push_back({now.unix_millis, instance, std::move(kind), cut(text)});
  if (now_.journal.size() > journal_limit)
    now_.journal.pop_front();
}

picture_ptr fleet::snapshot(instant now) const {
  auto p = std::make_shared<picture>(now_);
  p->taken = now;
  return p;
}

std::vector<reason> picture::reasons() const {
  std::vector<reason> out;
  for (auto& i : instances) {
    const auto p = judge(i, taken.monotonic);
    if (p == presence::up) {
      if (i.state != "running")
        out.push_back({i.name, i.state.empty() ? "says no state" : i.state});
    } else if (p == presence::silent) {
      const auto silent = std::chrono::duration<double>(taken.monotonic - i.last_heartbeat).count();
      out.push_back({i.name, fmt::format("silent for {:.1f} s", silent)});
    } else if (i.expected) {
      out.push_back({i.name, p == presence::stopped ? "stopped" : "not heard yet"});
    }
  }
  return out;
}

} // namespace holdfast::health
