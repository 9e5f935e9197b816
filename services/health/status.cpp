#include "services/health/status.hpp"

#include "holdfast/v1/events.pb.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace holdfast::health {

namespace {

using nlohmann::json;

double seconds(milliseconds m) { return std::chrono::duration<double>(m).count(); }

/// Invalid UTF-8 cannot come in through Protobuf; should it ever, it is replaced and not thrown about.
std::string dump(const json& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string series(const v1::Metric& m) {
  std::string out = m.name();
  for (int i = 0; i < m.labels_size(); ++i)
    out += fmt::format("{}{}={}", i == 0 ? "{" : ",", m.labels(i).name(), json(m.labels(i).value()).dump());
  return m.labels_size() > 0 ? out + "}" : out;
}

json loops(const instance& i) {
  auto out = json::array();
  for (auto& l : i.loops)
    out.push_back({{"name", l.name}, {"age_ms", l.age.count()}, {"limit_ms", l.limit.count()}, {"late", l.age > l.limit}});
  return out;
}

json components(const instance& i, milliseconds now) {
  auto out = json::array();
  for (auto& [name, c] : i.components)
    out.push_back({{"name", name}, {"state", c.state}, {"detail", c.detail}, {"since_seconds", seconds(now - c.since)}});
  return out;
}

json alarms(const instance& i) {
  auto out = json::array();
  for (auto& [name, a] : i.alarms)
    out.push_back({{"name", name}, {"severity", a.severity}, {"text", a.text}, {"since_unix_ms", a.since_unix_millis}});
  return out;
}

json usage(const proc::usage& u) {
  json out{{"cpu_seconds", u.cpu_seconds}, {"resident_bytes", u.resident_bytes}, {"threads", u.threads}};
  if (u.cpu_percent)
    out["cpu_percent"] = *u.cpu_percent;
  if (u.proportional_bytes)
    out["proportional_bytes"] = *u.proportional_bytes;
  if (u.open_files)
    out["open_files"] = *u.open_files;
  if (u.storage)
    out["storage"] = {{"read_bytes", u.storage->read_bytes}, {"written_bytes", u.storage->written_bytes}};
  return out;
}

json process(const process_note& p) {
  return {{"what", p.what},           {"reason", p.reason}, {"at_unix_ms", p.at_unix_millis},
          {"exit_code", p.exit_code}, {"signal", p.signal}, {"restarts", p.restarts}};
}

json service(const instance& i, milliseconds now) {
  const auto p = judge(i, now);
  json out{{"instance", i.name},
           {"service", i.service},
           {"expected", i.expected},
           {"presence", text(p)},
           {"state", i.state},
           {"version", i.version},
           {"pid", i.pid},
           {"uptime_seconds", seconds(i.uptime)},
           {"incarnation", fmt::format("{:016x}", i.incarnation)},
           {"lives", i.lives},
           {"loops", loops(i)},
           {"components", components(i, now)},
           {"alarms", alarms(i)},
           {"events", {{"received", i.received}, {"lost", i.lost}, {"malformed", i.malformed}}},
           {"metrics", json::object()}};
  if (i.heard)
    out["heartbeat_age_seconds"] = seconds(now - i.last_heartbeat);
  if (i.usage)
    out["usage"] = usage(*i.usage);
  if (i.process)
    out["process"] = process(*i.process);
  if (i.metrics && p == presence::up)
    for (auto& m : i.metrics->metrics())
      out["metrics"][series(m)] = m.value();
  return out;
}

json machine(const proc::machine& m) {
  json out{{"interfaces", json::array()}};
  if (m.load)
    out["load"] = {m.load->one, m.load->five, m.load->fifteen};
  if (m.memory)
    out["memory"] = {{"total_bytes", m.memory->total_bytes}, {"available_bytes", m.memory->available_bytes}};
  if (m.disk)
    out["disk"] = {{"directory", m.disk->directory}, {"total_bytes", m.disk->total_bytes}, {"free_bytes", m.disk->free_bytes}};
  for (auto& i : m.interfaces)
    out["interfaces"].push_back(
      {{"name", i.name}, {"received_bytes", i.received_bytes}, {"sent_bytes", i.sent_bytes}});
  return out;
}

json reasons(const std::vector<reason>& all) {
  auto out = json::array();
  for (auto& r : all)
    out.push_back({{"instance", r.instance}, {"reason", r.text}});
  return out;
}

} // namespace

std::string status_json(const picture& p) {
  const auto why = p.reasons();
  json out{{"gateway", p.gateway},
           {"version", p.version},
           {"unix_ms", p.taken.unix_millis},
           {"healthy", why.empty()},
           {"reasons", reasons(why)},
           {"services", json::array()},
           {"journal", json::array()},
           {"inbox_dropped", p.overrun},
           {"unattributed", p.unattributed}};
  for (auto& i : p.instances)
    if (i.expected || judge(i, p.taken.monotonic) != presence::unknown)
      out["services"].push_back(service(i, p.taken.monotonic));
  if (p.machine)
    out["machine"] = machine(*p.machine);
  for (auto& e : p.journal)
    out["journal"].push_back({{"unix_ms", e.unix_millis}, {"instance", e.instance}, {"kind", e.kind}, {"text", e.text}});
  return dump(out);
}

verdict healthz(const picture& p) {
  const auto why = p.reasons();
  return {why.empty(), dump({{"healthy", why.empty()}, {"reasons", reasons(why)}})};
}

} // namespace holdfast::health
