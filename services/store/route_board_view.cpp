// What others see of a route_board.

#include "services/store/route_board.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace holdfast::store {

route_board::effects route_board::take(moment m) {
  for (auto& [name, l] : links_)
    if (auto row = l.ledger.due(m.now))
      pending_.rows[name] = std::move(*row);
  if (std::exchange(journal_changed_, false)) {
    v1::JournalRow row;
    for (auto& e : journal_.entries())
      *row.add_switches() = told(e);
    pending_.journal = std::move(row);
  }
  return std::exchange(pending_, {});
}

v1::LinkOrder route_board::order(const std::string& link) const {
  auto& l = links_.at(link);
  v1::LinkOrder o;
  o.set_session(l.session);
  o.set_connect(l.connect);
  o.set_state(link::to_string(l.state));
  return o;
}

v1::LinkSwitch route_board::told(const link::switch_entry& e) const {
  v1::LinkSwitch s;
  s.set_unix_nanos(e.unix_nanos);
  s.set_destination(destination_);
  s.set_record_class(e.record_class);
  s.set_from(e.from);
  s.set_to(e.to);
  s.set_cause(e.cause);
  s.set_kind(e.kind);
  if (e.gap)
    s.set_gap_micros(static_cast<std::uint64_t>(std::chrono::microseconds(*e.gap).count()));
  return s;
}

std::vector<std::string> route_board::carried(const std::string& link) const {
  std::vector<std::string> out;
  for (auto& c : classes_) {
    const auto& carriers = supervisor_.route_of(c.name).carriers;
    if (std::find(carriers.begin(), carriers.end(), link) != carriers.end())
      out.push_back(c.name);
  }
  return out;
}

void route_board::fill(v1::LinksReply& reply, moment m) const {
  for (auto& [name, l] : links_) {
    auto& r = *reply.add_links();
    r.set_name(name);
    r.set_destination(destination_);
    r.set_state(link::to_string(l.state));
    r.set_since_millis(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(m.now - l.since).count()));
    r.set_cause(l.cause);
    if (const auto bytes = l.ledger.too_large(); bytes > 0)
      r.set_cause(fmt::format("{}{}a batch takes up to {} bytes on the wire, more than is left of the budget", l.cause,
                              l.cause.empty() ? "" : "; ", bytes));
    *r.mutable_status() = l.last;
    for (auto& c : carried(name))
      r.add_carries(c);
    r.set_drained(l.ledger.drained());
    r.set_pinned(l.ledger.pinned());
    r.set_suppressed(supervisor_.suppressed(name));
    if (l.ledger.metered())
      r.set_budget(link::to_string(l.ledger.level()));
    r.set_used_day_bytes(l.ledger.used().used_day);
    r.set_used_month_bytes(l.ledger.used().used_month);
    r.set_in_flight_bytes(plan.in_flight_bytes(name));
  }
  for (auto& e : journal_.entries())
    *reply.add_switches() = told(e);
}

} // namespace holdfast::store
