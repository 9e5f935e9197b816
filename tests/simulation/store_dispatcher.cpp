// DISPATCHER: its life, WRITER, what links say, and who is told.

#include "tests/simulation/store.hpp"
#include "tests/simulation/uplink.hpp"

#include <limits>

namespace holdfast::simulation {

using namespace std::chrono_literals;

namespace {
constexpr auto beat_period = 500ms;
constexpr std::int64_t epoch_nanos = 1'700'000'000'000'000'000;
} // namespace

dispatcher::dispatcher(store_process& p, site& s)
    : box(p), process_(p), site_(s), cache_(s.config.store.live_cache.count),
      life_(static_cast<std::uint64_t>(p.w.now().time_since_epoch().count()) | 1) {
  const auto kept = p.file->kept();
  for (auto& d : s.config.destinations)
    boards_.emplace(d.name, store::route_board(s.config, d.name, kept, present()));
  p.write->box.send([&to = *p.write] { to.on_subscribe(); });
  p.after(beat_period, [this] { tick(); });
}

store::moment dispatcher::present() const {
  const auto now = process_.w.now();
  return {now, epoch_nanos + std::chrono::nanoseconds(now.time_since_epoch()).count()};
}

void dispatcher::tick() {
  box.send([this] { route_due(); });
  process_.after(beat_period, [this] { tick(); });
}

// -- from WRITER ------------------------------------------------------------------------------------------------------

void dispatcher::on_undelivered(
  const std::vector<std::tuple<std::string, std::string, std::vector<seq_range>>>& entries,
  const std::map<std::string, std::uint64_t>& heads) {
  informed_ = true;
  for (auto& [name, board] : boards_)
    for (auto& [record_class, last] : heads)
      board.plan.opened(record_class, last);
  for (auto& [destination, record_class, ranges] : entries)
    for (auto& r : ranges)
      boards_.at(destination).plan.add_backlog(record_class, r);
  pump();
}

void dispatcher::on_stored(const std::vector<store::batch>& batches) {
  if (!informed_)
    return;
  for (auto& b : batches) {
    cache_.put(b);
    for (auto& [name, board] : boards_)
      board.plan.stored(b.record_class, b.seqs);
  }
  pump();
}

void dispatcher::on_gave_way(const std::vector<std::pair<std::string, std::uint64_t>>& batches) {
  for (auto& [record_class, first] : batches)
    cache_.forget(record_class, first);
}

void dispatcher::on_renewed() {
  renewing_ = false;
  for (auto& [name, board] : boards_)
    board.renewed(present());
  for (auto& [name, link] : std::exchange(links_, {}))
    refuse(name, link.session, v1::LinkRefusal::REASON_OTHER_EPOCH);
  tell();
}

// -- from links -------------------------------------------------------------------------------------------------------

dispatcher::attached* dispatcher::find(const std::string& link, std::uint64_t session) {
  auto it = links_.find(link);
  return it != links_.end() && it->second.session == session ? &it->second : nullptr;
}

dispatcher::attached* dispatcher::current(const std::string& link, std::uint64_t session, std::uint64_t epoch) {
  auto* found = find(link, session);
  if (found == nullptr)
    refuse(link, session, v1::LinkRefusal::REASON_UNKNOWN_SESSION);
  else if (epoch != process_.file->epoch())
    refuse(link, session, v1::LinkRefusal::REASON_OTHER_EPOCH);
  else
    return found;
  return nullptr;
}

void dispatcher::refuse(const std::string& link, std::uint64_t session, v1::LinkRefusal::Reason why) {
  auto& to = uplink_process::of(site_, link);
  to.bus->to_client([&to, session, why] { to.on_refusal(session, why); });
}

void dispatcher::on_hello(const std::string& link, std::uint64_t session, const std::string& destination) {
  if (!informed_)
    return;
  links_[link] = {destination, session, 0};
  auto& to = uplink_process::of(site_, link);
  to.bus->to_client([&to, session, epoch = process_.file->epoch(), life = life_] {
    to.on_welcome(session, epoch, life);
  });
  site_.model.leases_over(destination, link);
  boards_.at(destination).attached(link, session, present());
  tell();
}

void dispatcher::on_ready(const std::string& link, std::uint64_t session, std::uint64_t epoch, std::uint64_t connection,
                          std::uint64_t window, const ranges_by_class& present_there, const ranges_by_class& elsewhere) {
  auto* at = informed_ ? current(link, session, epoch) : nullptr;
  if (at == nullptr)
    return;
  at->connection = process_.w.has(defect::connection_untold) ? 0 : connection;
  site_.model.leases_over(at->destination, link);
  site_.model.stands(link, {session, connection});
  auto& board = boards_.at(at->destination);
  board.ready(link, process_.w.has(defect::window_ignored) ? UINT64_MAX : window, present());
  board.plan.reconcile(present_there, elsewhere);
  tell();
  pump();
}

void dispatcher::on_status(const v1::LinkStatus& s) {
  if (!informed_)
    return;
  const auto* at = find(s.link(), s.session());
  if (at == nullptr)
    return refuse(s.link(), s.session(), v1::LinkRefusal::REASON_UNKNOWN_SESSION);
  boards_.at(at->destination).status(s, present());
  tell();
  pump();
}

void dispatcher::on_delivered(const delivered& d) {
  const auto* at = informed_ ? current(d.link, d.session, d.epoch) : nullptr;
  if (at == nullptr)
    return;
  auto& board = boards_.at(at->destination);
  for (auto& [record_class, ranges] : d.ranges) {
    std::vector<seq_range> whole;
    for (auto& r : ranges)
      for (auto& batch : board.acknowledged(d.link, record_class, r, present())) {
        site_.model.complete(at->destination, record_class, batch);
        whole.push_back(batch);
      }
    if (whole.empty())
      continue;
    process_.write->box.send([&to = *process_.write, destination = at->destination, c = record_class, whole] {
      to.on_confirmed(destination, c, whole);
    });
    auto oldest = std::numeric_limits<std::uint64_t>::max();
    for (auto& [name, each] : boards_)
      oldest = std::min(oldest, each.plan.oldest(record_class).value_or(oldest));
    cache_.forget_below(record_class, oldest);
  }
  tell();
  pump();
}

void dispatcher::on_rejected(const rejected& r) {
  const auto* at = informed_ ? current(r.link, r.session, r.epoch) : nullptr;
  if (at == nullptr)
    return;
  using why = store::dispatch_plan::rejection;
  const auto reason = r.reason == v1::Rejected::REASON_CONFLICT ? why::conflict
                      : r.reason == v1::Rejected::REASON_MISSING ? why::missing : why::aside;
  site_.model.lease_over(at->destination, r.link, r.record_class, {r.first, r.first});
  boards_.at(at->destination).plan.rejected(r.link, r.record_class, r.first, reason, process_.w.now());
  pump();
}

void dispatcher::on_down(const std::string& link, std::uint64_t session, const std::string& why) {
  const auto* at = informed_ ? find(link, session) : nullptr;
  if (at == nullptr)
    return;
  site_.model.leases_over(at->destination, link);
  boards_.at(at->destination).down(link, why, present());
  tell();
  pump();
}

void dispatcher::on_command(const std::string& link, v1::LinkCommand::What what) {
  for (auto& [name, board] : boards_)
    if (board.has(link))
      board.command(link, what, present());
  tell();
  pump();
}

// -- routes -----------------------------------------------------------------------------------------------------------

void dispatcher::route_due() {
  armed_ = time_point::max();
  for (auto& [name, board] : boards_)
    board.tick(present());
  tell();
  pump();
}

// A link whose leases were released has nothing on its way any more: the only sign of it outside the board.
void dispatcher::observe() {
  for (auto& l : site_.config.links)
    if (boards_.at(l.destination).plan.in_flight_bytes(l.name) == 0)
      site_.model.leases_over(l.destination, l.name);
}

void dispatcher::tell() {
  observe();
  std::map<std::string, v1::LinkRow> rows;
  std::map<std::string, v1::JournalRow> journals;
  for (auto& [name, board] : boards_) {
    auto e = board.take(present());
    for (auto& s : e.switches)
      process_.w.trace("store", "{} class={} from={} to={}: {}", s.kind(), s.record_class(), s.from(), s.to(),
                       s.cause());
    for (auto& link : e.links) {
      const auto order = board.order(link);
      const auto at = links_.find(link);
      if (at == links_.end() || at->second.session != order.session())
        continue;
      auto& to = uplink_process::of(site_, link);
      to.bus->to_client([&to, s = order.session(), connect = order.connect()] { to.on_order(s, connect); });
    }
    rows.merge(e.rows);
    if (e.journal)
      journals[name] = std::move(*e.journal);
    arm(board.next_deadline());
  }
  if (!rows.empty() || !journals.empty())
    process_.write->box.send([&to = *process_.write, rows, journals] { to.on_keep(rows, journals); });
}

void dispatcher::arm(std::optional<time_point> due) {
  if (!due || *due >= armed_)
    return;
  armed_ = *due;
  process_.after(*due - process_.w.now(), [this] { box.send([this] { route_due(); }); });
}

} // namespace holdfast::simulation
