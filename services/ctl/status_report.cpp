#include "services/ctl/status_report.hpp"

#include "services/ctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace holdfast::ctl {

namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 9> key_words{"used_bytes", "quota", "backlog", "unsent", "undelivered",
                                                    "in_flight", "round_trip", "window", "records_total"};
constexpr std::array<std::string_view, 9> trouble_words{"lost",    "dropped",  "refused", "failures", "failed",
                                                        "damaged", "restarts", "gap",     "error"};

// -- figures ----------------------------------------------------------------------------------------------------------

template <class Words>
bool has_any(std::string_view text, const Words& words) {
  return std::any_of(words.begin(), words.end(), [&](auto w) { return text.find(w) != std::string_view::npos; });
}

bool worth_showing(const v1::Metric& m) {
  return has_any(m.name(), trouble_words) ? m.value() != 0 : has_any(m.name(), key_words);
}

bool take_tail(std::string_view& text, std::string_view tail) {
  if (!text.ends_with(tail))
    return false;
  text.remove_suffix(tail.size());
  return true;
}

std::string human_seconds(double s) {
  return s < 1 ? fmt::format("{:.3g}ms", s * 1000)
               : human_duration(std::chrono::milliseconds(static_cast<std::int64_t>(std::min(s, 1e12) * 1000)));
}

// "holdfast_store_used_bytes" of store: "used 1.2 GiB"; labels follow in parentheses.
std::string figure_text(const v1::Metric& m, const std::string& service, const double* rate) {
  std::string_view name = m.name();
  for (const auto& head : {std::string("holdfast_"), service + "_"})
    if (name.starts_with(head))
      name.remove_prefix(head.size());
  take_tail(name, "_total");
  const bool bytes = name == "bytes" || take_tail(name, "_bytes");
  const bool seconds = !bytes && take_tail(name, "_seconds");
  const auto number = [&](double v) {
    if (!std::isfinite(v))
      return fmt::format("{}", v);
    return bytes ? human_bytes(v) : seconds ? human_seconds(v) : human_count(v);
  };
  std::string label(name);
  std::replace(label.begin(), label.end(), '_', ' ');
  std::string tags;
  for (auto& l : m.labels())
    tags += (tags.empty() ? "" : "/") + l.value();
  auto out = fmt::format("{}{} {}", label, tags.empty() ? "" : " (" + tags + ")", number(m.value()));
  return rate == nullptr ? out : fmt::format("{}, {}/s", out, number(seconds ? *rate : std::round(*rate)));
}

// -- table ------------------------------------------------------------------------------------------------------------

using row = std::vector<std::string>;

row instance_row(const instance_status& i) {
  const auto& a = i.now;
  if (!a.reply)
    return {i.name, i.lock_holder != 0 ? "silent" : "not running", "",
            i.lock_holder != 0 ? fmt::format("{}; process {} holds its lock", a.error, i.lock_holder) : a.error};
  const auto& s = a.reply->status();
  const auto colon = s.state().find(": ");
  const auto detail = colon == std::string::npos ? std::string() : "  " + s.state().substr(colon + 2);
  return {i.name, s.state().substr(0, colon), human_duration(std::chrono::milliseconds(s.uptime_millis())),
          fmt::format("pid {}, answered in {:.1f}ms{}{}", s.pid(), static_cast<double>(a.round_trip.count()) / 1000,
                      i.expected ? "" : ", not in the configuration", detail)};
}

std::vector<row> rows_of(const status_report& report) {
  std::vector<row> rows{{"INSTANCE", "STATE", "SINCE", "DETAIL"}};
  for (auto& i : report.instances) {
    rows.push_back(instance_row(i));
    if (i.now.reply)
      for (auto& c : i.now.reply->status().components())
        rows.push_back({"  " + c.name(), c.state(), human_duration(std::chrono::milliseconds(c.since_millis())),
                        c.detail()});
    if (i.now.reply)
      for (auto& a : i.now.reply->status().alarms())
        rows.push_back({"  " + a.name(), "ALARM", "", a.text()});
  }
  return rows;
}

std::string figures_line(const instance_status& i, bool all) {
  const auto& s = i.now.reply->status();
  std::string out;
  for (auto& m : s.metrics()) {
    const auto rate = i.rates.find(metric_key(m));
    if (all || worth_showing(m) || (rate != i.rates.end() && rate->second != 0))
      out += fmt::format("    {}\n", figure_text(m, s.service(), rate == i.rates.end() ? nullptr : &rate->second));
  }
  return out.empty() ? out : fmt::format("\n{}:\n{}", i.name, out);
}

// -- JSON -------------------------------------------------------------------------------------------------------------

json metric_json(const v1::Metric& m, const std::map<std::string, double>& rates) {
  json out{{"name", m.name()}, {"labels", json::object()}, {"value", m.value()}};
  for (auto& l : m.labels())
    out["labels"][l.name()] = l.value();
  if (const auto rate = rates.find(metric_key(m)); rate != rates.end())
    out["per_second"] = rate->second;
  return out;
}

json reply_json(const instance_status& i) {
  const auto& s = i.now.reply->status();
  json out{{"service", s.service()}, {"state", s.state()}, {"pid", s.pid()}, {"version", s.version()},
           {"uptime_millis", s.uptime_millis()}, {"round_trip_micros", i.now.round_trip.count()}};
  auto& components = out["components"] = json::array();
  for (auto& c : s.components())
    components.push_back({{"name", c.name()}, {"state", c.state()}, {"detail", c.detail()},
                          {"since_millis", c.since_millis()}});
  auto& loops = out["loops"] = json::array();
  for (auto& l : s.loops())
    loops.push_back({{"name", l.name()}, {"age_millis", l.age_millis()}, {"limit_millis", l.limit_millis()}});
  auto& alarms = out["alarms"] = json::array();
  for (auto& a : s.alarms())
    alarms.push_back({{"name", a.name()}, {"severity", v1::Severity_Name(a.severity())}, {"text", a.text()}});
  auto& metrics = out["metrics"] = json::array();
  for (auto& m : s.metrics())
    metrics.push_back(metric_json(m, i.rates));
  return out;
}

} // namespace

bool running(const instance_status& i) { return i.now.reply && i.now.reply->status().state() == "running"; }

exit_code verdict(const instance_status& i) { return !i.now.reply ? unreachable : running(i) ? ok : not_well; }

bool well(const status_report& report) {
  return std::all_of(report.instances.begin(), report.instances.end(),
                     [](auto& i) { return !i.expected || running(i); });
}

void keep_real_watchdogs(status_report& report) {
  const auto is_watchdog = [](auto& i) { return i.name.starts_with("watchdog"); };
  bool one = false;
  bool many = false;
  for (auto& i : report.instances)
    if (is_watchdog(i) && i.now.reply)
      (i.name == "watchdog" ? one : many) = true;
  std::erase_if(report.instances, [&](auto& i) {
    if (!is_watchdog(i) || i.now.reply)
      return false;
    return i.name == "watchdog" ? many : one || !many;
  });
}

std::string metric_key(const v1::Metric& m) {
  auto key = m.name();
  for (auto& l : m.labels())
    key += fmt::format("\n{}={}", l.name(), l.value());
  return key;
}

std::map<std::string, double> counter_rates(const answer& before, const answer& after, double seconds) {
  std::map<std::string, double> out;
  if (!before.reply || !after.reply || before.reply->status().pid() != after.reply->status().pid() || seconds <= 0)
    return out;
  for (auto& m : before.reply->status().metrics())
    if (m.kind() == v1::METRIC_KIND_COUNTER)
      out[metric_key(m)] = -m.value();
  for (auto& m : after.reply->status().metrics())
    if (const auto old = out.find(metric_key(m)); old != out.end())
      old->second = (old->second + m.value()) / seconds;
  return out;
}

std::string to_table(const status_report& report, bool all_figures) {
  auto out = report.gateway.empty() ? fmt::format("services in {}\n\n", report.run_directory)
                                    : fmt::format("gateway {} in {}\n\n", report.gateway, report.run_directory);
  out += aligned(rows_of(report), 2);
  for (auto& i : report.instances)
    if (i.now.reply)
      out += figures_line(i, all_figures);
  return out;
}

std::string to_json(const status_report& report) {
  json instances = json::array();
  for (auto& i : report.instances) {
    json entry{{"instance", i.name}, {"expected", i.expected}, {"reachable", i.now.reply.has_value()}};
    entry["running"] = running(i);
    if (i.now.reply)
      entry.update(reply_json(i));
    else
      entry.update({{"error", i.now.error}, {"lock_holder", i.lock_holder}});
    instances.push_back(std::move(entry));
  }
  const json all{{"gateway", report.gateway}, {"run_directory", report.run_directory}, {"well", well(report)},
                 {"instances", std::move(instances)}};
  return all.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

} // namespace holdfast::ctl
