#include "services/ctl/links_report.hpp"

#include "common/render/record_json.hpp"
#include "services/ctl/output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace holdfast::ctl {

namespace {

using nlohmann::json;
using row = std::vector<std::string>;

struct limits {
  std::uint64_t day = 0;    // bytes; 0: none
  std::uint64_t month = 0;
};

limits limits_of(const std::string& link, const config::gateway& configured) {
  for (auto& c : configured.links)
    if (c.name == link)
      return {c.budget_day.count, c.budget_month.count};
  return {};
}

// -- cells ------------------------------------------------------------------------------------------------------------

// "0.04ms", "4.8ms", "182ms", "1.2s", "3min 20s"
std::string time_text(std::uint64_t micros) {
  constexpr std::uint64_t second = 1'000'000;
  if (micros >= 60 * second)
    return human_duration(milliseconds(micros / 1000));
  const auto value = static_cast<double>(micros) / (micros < second ? 1e3 : 1e6);
  return fmt::format("{:.{}f}{}", value, value < 1 ? 2 : value < 10 ? 1 : 0, micros < second ? "ms" : "s");
}

// To the millisecond.
std::string moment_text(std::int64_t unix_nanos) {
  std::string out;
  render::append_time(out, unix_nanos);
  return out.substr(0, out.find('.') + 4) + 'Z';
}

std::string round_trip_text(const v1::LinkStatus& s) {
  return s.round_trip_micros() == 0
           ? "" : fmt::format("{} ± {}", time_text(s.round_trip_micros()), time_text(s.variation_micros()));
}

std::string used_text(std::uint64_t used, std::uint64_t limit, const char* when) {
  return limit == 0 ? fmt::format("{} {}", human_bytes(static_cast<double>(used)), when)
                    : fmt::format("{} of {} {}", human_bytes(static_cast<double>(used)),
                                  human_bytes(static_cast<double>(limit)), when);
}

// "1.2 GiB of 2.0 GiB today, warned"; a day or month without a limit is left out where another one is limited.
std::string budget_text(const v1::LinkReport& l, limits most) {
  if (l.budget().empty() && most.day == 0 && most.month == 0)
    return "";
  const bool unknown = most.day == 0 && most.month == 0;
  row parts;
  if (unknown || most.day != 0)
    parts.push_back(used_text(l.used_day_bytes(), most.day, "today"));
  if (unknown || most.month != 0)
    parts.push_back(used_text(l.used_month_bytes(), most.month, "this month"));
  if (!l.budget().empty() && l.budget() != "ample")
    parts.push_back(l.budget());
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string flags_text(const v1::LinkReport& l) {
  row out;
  if (l.drained())
    out.emplace_back("drained");
  if (l.pinned())
    out.emplace_back("pinned");
  if (l.suppressed())
    out.emplace_back("suppressed");
  return fmt::format("{}", fmt::join(out, ", "));
}

std::string way_text(const v1::LinkSwitch& s) {
  const auto name = [](auto& link) { return link.empty() ? "nothing" : link.c_str(); };
  const auto kind = s.kind().empty() || s.kind() == "switched" ? "" : fmt::format(" ({})", s.kind());
  return fmt::format("{} -> {}{}", name(s.from()), name(s.to()), kind);
}

// -- tables -----------------------------------------------------------------------------------------------------------

row link_row(const v1::LinkReport& l, limits most) {
  const auto& s = l.status();
  return {l.name(), l.destination(), l.state(), human_duration(milliseconds(l.since_millis())), round_trip_text(s),
          l.has_status() ? fmt::format("{:.2g} %", s.loss() * 100) : "", s.breaker(), budget_text(l, most),
          fmt::format("{}", fmt::join(l.carries(), ", ")), flags_text(l), l.cause()};
}

row switch_row(const v1::LinkSwitch& s) {
  return {moment_text(s.unix_nanos()), s.destination(), s.record_class(), way_text(s),
          s.has_gap_micros() ? time_text(s.gap_micros()) : "", s.cause()};
}

// The first row is the heads. What lies right of `right` and is empty in every row is left out.
std::string table(std::vector<row> rows, std::size_t right) {
  for (auto column = rows.front().size(); column-- > 0;) {
    const bool used = std::any_of(rows.begin() + 1, rows.end(), [&](auto& r) { return !r[column].empty(); });
    for (auto& r : rows)
      if (!used && column > right)
        r.erase(r.begin() + static_cast<std::ptrdiff_t>(column));
      else if (r[column].empty())
        r[column] = "-";
  }
  return aligned(rows, right);
}

// -- JSON -------------------------------------------------------------------------------------------------------------

json status_json(const v1::LinkReport& l) {
  if (!l.has_status())
    return nullptr;
  const auto& s = l.status();
  return {{"health", v1::LinkStatus::Health_Name(s.health())}, {"cause", s.cause()},
          {"round_trip_micros", s.round_trip_micros()}, {"variation_micros", s.variation_micros()}, {"loss", s.loss()},
          {"breaker", s.breaker()}, {"proofs", s.proofs()}, {"wire_bytes", s.wire_bytes()},
          {"sent_sessions", s.sent_sessions()}};
}

json link_json(const v1::LinkReport& l, limits most) {
  const auto limit = [](std::uint64_t bytes) { return bytes == 0 ? json() : json(bytes); };
  return {{"name", l.name()}, {"destination", l.destination()}, {"state", l.state()},
          {"since_millis", l.since_millis()}, {"cause", l.cause()}, {"status", status_json(l)},
          {"carries", row(l.carries().begin(), l.carries().end())}, {"drained", l.drained()}, {"pinned", l.pinned()},
          {"suppressed", l.suppressed()}, {"budget", l.budget()}, {"used_day_bytes", l.used_day_bytes()},
          {"used_month_bytes", l.used_month_bytes()}, {"limit_day_bytes", limit(most.day)},
          {"limit_month_bytes", limit(most.month)}, {"in_flight_bytes", l.in_flight_bytes()}};
}

json switch_json(const v1::LinkSwitch& s) {
  return {{"time", moment_text(s.unix_nanos())}, {"unix_nanos", s.unix_nanos()}, {"destination", s.destination()},
          {"record_class", s.record_class()}, {"from", s.from()}, {"to", s.to()}, {"cause", s.cause()},
          {"gap_micros", s.has_gap_micros() ? json(s.gap_micros()) : json()}, {"kind", s.kind()}};
}

// Destinations to which no link carries anything.
std::set<std::string> left_alone(const v1::LinksReply& reply, const config::gateway& configured) {
  std::set<std::string> out;
  for (auto& d : configured.destinations)
    out.insert(d.name);
  for (auto& l : reply.links())
    out.insert(l.destination());
  for (auto& l : reply.links())
    if (!l.carries().empty())
      out.erase(l.destination());
  return out;
}

} // namespace

bool well(const v1::LinksReply& reply, const config::gateway& configured) {
  return left_alone(reply, configured).empty();
}

std::string to_table(const v1::LinksReply& reply, const config::gateway& configured) {
  std::vector<row> links{{"LINK", "DESTINATION", "STATE", "SINCE", "ROUND TRIP", "LOSS", "BREAKER", "BUDGET", "CARRIES",
                          "FLAGS", "CAUSE"}};
  for (auto& l : reply.links())
    links.push_back(link_row(l, limits_of(l.name(), configured)));
  std::vector<row> switches{{"SWITCHED AT", "DESTINATION", "CLASS", "FROM -> TO", "GAP", "CAUSE"}};
  for (auto& s : reply.switches())
    switches.push_back(switch_row(s));
  const auto alone = left_alone(reply, configured);
  return (links.size() == 1 ? "no links\n" : table(std::move(links), 3))
         + (alone.empty() ? "" : fmt::format("nothing carries to: {}\n", fmt::join(alone, ", "))) + '\n'
         + (switches.size() == 1 ? "no switches yet\n" : table(std::move(switches), 4));
}

std::string to_json(const v1::LinksReply& reply, const config::gateway& configured) {
  json all{{"well", well(reply, configured)}, {"links", json::array()}, {"switches", json::array()}};
  for (auto& l : reply.links())
    all["links"].push_back(link_json(l, limits_of(l.name(), configured)));
  for (auto& s : reply.switches())
    all["switches"].push_back(switch_json(s));
  return all.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

} // namespace holdfast::ctl
