// DISPATCHER, the flow: which batch goes over which link next.

#include "common/storage/stored_batch.hpp"
#include "services/store/dispatch_step.hpp"
#include "tests/simulation/store.hpp"
#include "tests/simulation/uplink.hpp"

#include <algorithm>

namespace holdfast::simulation {

using kind = store::dispatch_plan::kind;

namespace {
constexpr int reads_per_turn = 32;  // as in dispatcher_flow.cpp
} // namespace

void dispatcher::pump() {
  if (renewing_)
    return;
  const bool mistrusted =
    std::any_of(boards_.begin(), boards_.end(), [](auto& entry) { return entry.second.plan.foreign(); });
  int reads = 0;
  for (auto& [name, board] : boards_)
    while (auto o = board.plan.next(mistrusted))
      if (!carry_out(board.plan, name, *o, reads))
        break;
  if (mistrusted)
    renew_when_settled();
  if (reads >= reads_per_turn && !std::exchange(pump_scheduled_, true))
    box.send([this] {
      pump_scheduled_ = false;
      pump();
    });
}

void dispatcher::renew_when_settled() {
  for (auto& [name, board] : boards_)
    if (!board.plan.settled())
      return;
  const auto now = process_.w.now();
  if (!renewals_.due(now))
    return;
  renewals_.tried(now);
  renewing_ = true;
  process_.write->box.send([&to = *process_.write] { to.on_renew(); });
}

bool dispatcher::carry_out(store::dispatch_plan& plan, const std::string& destination,
                           const store::dispatch_plan::order& o, int& reads) {
  std::optional<store::batch> found;
  if (needs_batch(o)) {
    if (reads >= reads_per_turn)
      return false;
    found = cache_.find(o.record_class, o.todo.first);
    if (!found) {
      ++reads;
      found = process_.file->read_from(o.record_class, o.todo.first);
    }
  }
  using act = store::dispatch_step::act;
  const auto step = step_of(o, found);
  switch (step.what) {
    case act::send: lease(plan, destination, o, *found); break;
    case act::gap: lease(plan, destination, o, {o.record_class, step.seqs, 0, step.reason, {}}); break;
    case act::skip: plan.skipped(o); break;
  }
  return true;
}

void dispatcher::confirm(store::dispatch_plan& plan, const std::string& destination, const std::string& c,
                         seq_range r) {
  plan.confirmed(c, r);
  process_.write->box.send([&to = *process_.write, destination, c, r] { to.on_confirmed(destination, c, {r}); });
}

void dispatcher::lease(store::dispatch_plan& plan, const std::string& destination,
                       const store::dispatch_plan::order& o, const store::batch& b) {
  auto& w = process_.w;
  const auto bytes = o.how == kind::check ? 0 : b.payload.size();
  const auto before = plan.holders(b.record_class, b.seqs.first);
  plan.leased(o, b.seqs, bytes + storage::stored_batch::header_bytes, w.now());
  const auto after = plan.holders(b.record_class, b.seqs.first);
  site_.model.leased(destination, o.link, b.record_class, b.seqs, o.how == kind::backlog, before, after);
  if (o.how == kind::live || o.how == kind::backlog)
    site_.model.sent(destination, b.record_class, b.seqs.first, o.how == kind::backlog);
  if (w.has(defect::lease_forgotten) && w.load.yes(0.02))
    return;
  send_batch(o.link, b, o.how);
  if (w.has(defect::removal_unconfirmed))
    confirm(plan, destination, b.record_class, b.seqs);
  if (w.has(defect::lease_doubled))
    for (auto& [link, at] : links_)
      if (link != o.link && at.destination == destination) {
        site_.model.leased(destination, link, b.record_class, b.seqs, o.how == kind::backlog, before, after);
        send_batch(link, b, o.how);
      }
}

void dispatcher::send_batch(const std::string& link, const store::batch& b, kind how) {
  process_.w.trace("store", "{} {} {} to {} over {}", how == kind::check ? "asks for" : how == kind::backlog ? "backlog"
                   : how == kind::gap ? "gap" : "live", b.record_class, b.seqs.first, b.seqs.last, link);
  auto& to = uplink_process::of(site_, link);
  wire m{.what = wire::type::data, .text = b.record_class, .seqs = b.seqs, .crc = b.crc, .gap_reason = b.gap_reason,
         .historical = how == kind::backlog && !process_.w.has(defect::historical_forgotten),
         .check_only = how == kind::check, .payload = how == kind::check ? blob{} : b.payload};
  to.bus->to_client([&to, at = links_.at(link), m = std::move(m)] { to.on_dispatch(at.session, at.connection, m); });
}

void store_process::command(const std::string& link, v1::LinkCommand::What what) {
  enter([this, link, what] { dispatch->box.send([&at = *dispatch, link, what] { at.on_command(link, what); }); });
}

bool dispatcher::idle() const {
  return std::all_of(boards_.begin(), boards_.end(), [](auto& e) {
    auto& plan = e.second.plan;
    return plan.backlog_records() == 0 && plan.live_records() == 0 && plan.in_flight_bytes() == 0;
  });
}

} // namespace holdfast::simulation
