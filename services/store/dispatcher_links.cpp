// DISPATCHER, the links: what their uplinks say, what the route boards make of it, and who is told.

#include "services/store/dispatcher_state.hpp"

#include "common/core/time.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/events.pb.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::store {

moment dispatcher_state::present() { return {link::clock::now(), unix_nanos()}; }

void dispatcher_state::on_link(const from_link& m) {
  beat->beat();
  if (!informed)
    return;  // they say it again
  switch (m.message->message_case()) {
    case v1::LinkMessage::kHello: return on_hello(m.peer, m.message->hello());
    case v1::LinkMessage::kReady: return on_ready(m.peer, m.message->ready());
    case v1::LinkMessage::kDelivered: return on_delivered(m.peer, m.message->delivered());
    case v1::LinkMessage::kDown: return on_down(m.message->down());
    case v1::LinkMessage::kRejected: return on_rejected(m.peer, m.message->rejected());
    case v1::LinkMessage::kStatus: return on_status(m.peer, m.message->status());
    case v1::LinkMessage::MESSAGE_NOT_SET: return;
  }
}

attached_link* dispatcher_state::find(const std::string& link, std::uint64_t session) {
  auto it = links.find(link);
  return it != links.end() && it->second.session == session ? &it->second : nullptr;
}

attached_link* dispatcher_state::current(const std::string& peer, const std::string& link, std::uint64_t session,
                                         std::uint64_t epoch) {
  auto* found = find(link, session);
  if (found == nullptr)
    refuse(peer, session, v1::LinkRefusal::REASON_UNKNOWN_SESSION, link);
  else if (epoch != ctx->file->epoch())
    refuse(peer, session, v1::LinkRefusal::REASON_OTHER_EPOCH, link);
  else
    return found;
  return nullptr;
}

void dispatcher_state::on_hello(const std::string& peer, const v1::LinkHello& h) {
  auto board = boards.find(h.destination());
  if (board == boards.end())
    return refuse(peer, h.session(), v1::LinkRefusal::REASON_UNKNOWN_DESTINATION, h.destination());
  if (!board->second.has(h.link())) {
    if (strangers.due() > 0)
      log::warn("link refused link={} cause=\"not configured for destination {}\"", h.link(), h.destination());
    return refuse(peer, h.session(), v1::LinkRefusal::REASON_UNKNOWN_DESTINATION,
                  "no link " + h.link() + " leads there");
  }
  links[h.link()] = {peer, h.destination(), h.session(), 0};
  v1::RouteMessage m;
  m.mutable_welcome()->set_session(h.session());
  m.mutable_welcome()->set_gateway(ctx->rt.config().name);
  m.mutable_welcome()->set_epoch(ctx->file->epoch());
  m.mutable_welcome()->set_life(life);
  send(peer, m);
  board->second.attached(h.link(), h.session(), present());
  tell();
}

namespace {

template <class Ranges> dispatch_plan::ranges_by_class ranges_of(const Ranges& from) {
  dispatch_plan::ranges_by_class out;
  for (auto& c : from)
    for (auto& r : c.ranges())
      if (r.first() > 0 && r.last() >= r.first())
        out[c.record_class()].push_back({r.first(), r.last()});
  return out;
}

} // namespace

void dispatcher_state::on_ready(const std::string& peer, const v1::LinkReady& r) {
  auto* link = current(peer, r.link(), r.session(), r.epoch());
  if (link == nullptr)
    return;
  link->connection = r.connection();
  auto& board = boards.at(link->destination);
  board.ready(r.link(), r.window_bytes(), present());
  board.plan.reconcile(ranges_of(r.present()), ranges_of(r.elsewhere()));
  tell();
  pump();
}

void dispatcher_state::on_status(const std::string& peer, const v1::LinkStatus& status) {
  const auto* link = find(status.link(), status.session());
  if (link == nullptr)
    return refuse(peer, status.session(), v1::LinkRefusal::REASON_UNKNOWN_SESSION, status.link());
  boards.at(link->destination).status(status, present());
  tell();
  pump();
}

void dispatcher_state::on_delivered(const std::string& peer, const v1::Delivered& d) {
  const auto* link = current(peer, d.link(), d.session(), d.epoch());
  if (link == nullptr)
    return;
  auto& board = boards.at(link->destination);
  for (auto& [record_class, ranges] : ranges_of(d.delivered())) {
    confirmed out{link->destination, record_class, {}};
    for (auto& r : ranges)
      for (auto& whole : board.acknowledged(d.link(), record_class, r, present()))
        out.ranges.push_back(whole);
    if (out.ranges.empty())
      continue;
    ctx->writer.send(std::move(out));
    forget_confirmed(record_class);
  }
  tell();
  pump();
}

void dispatcher_state::on_rejected(const std::string& peer, const v1::Rejected& r) {
  const auto* link = current(peer, r.link(), r.session(), r.epoch());
  if (link == nullptr)
    return;
  using why = dispatch_plan::rejection;
  const auto reason = r.reason() == v1::Rejected::REASON_CONFLICT ? why::conflict
                      : r.reason() == v1::Rejected::REASON_MISSING ? why::missing : why::aside;
  if (reason != why::missing)
    log::debug("batch rejected destination={} class={} first_seq={} records={} cause=\"{}\"", link->destination,
               r.record_class(), r.first_seq(), r.record_count(), r.detail());
  auto& plan = boards.at(link->destination).plan;
  plan.rejected(r.link(), r.record_class(), r.first_seq(), reason, dispatch_plan::clock::now());
  if (plan.parked_records() > 0)
    ctx->rt.alarm("rejected:" + link->destination, true, r.detail());
  pump();
}

void dispatcher_state::on_down(const v1::LinkDown& d) {
  auto* link = find(d.link(), d.session());
  if (link == nullptr)
    return;
  boards.at(link->destination).down(d.link(), d.reason(), present());
  tell();
  pump();
}

void dispatcher_state::refuse(const std::string& peer, std::uint64_t session, v1::LinkRefusal::Reason why,
                              const std::string& detail) {
  v1::RouteMessage m;
  m.mutable_refusal()->set_session(session);
  m.mutable_refusal()->set_reason(why);
  m.mutable_refusal()->set_detail(detail);
  send(peer, m);
}

// -- routes -----------------------------------------------------------------------------------------------------------

void dispatcher_state::on_route_due() {
  wake.woke(link::clock::now());
  for (auto& [name, board] : boards)
    board.tick(present());
  tell();
  pump();
}

void dispatcher_state::on_command(const link_command& c) {
  const auto& link = c.command.link();
  const auto board = std::find_if(boards.begin(), boards.end(), [&](auto& b) { return b.second.has(link); });
  if (board == boards.end())
    return;
  v1::ControlReply reply;
  reply.set_error(board->second.command(link, c.command.what(), present()));
  if (!reply.error().empty())
    return c.answer(reply);
  log::info("link={} command={}", link, v1::LinkCommand::What_Name(c.command.what()));
  reply.set_ok(true);
  tell([answer = c.answer, reply] { answer(reply); });
  show();  // who asked may look next
  pump();
}

/// Carries out what the boards decided beside their plans.
void dispatcher_state::tell(const std::function<void()>& when_kept) {
  keep notes;
  if (when_kept)
    notes.then.push_back(when_kept);
  bool changed = false;
  for (auto& [name, board] : boards) {
    auto e = board.take(present());
    changed = changed || !e.switches.empty() || !e.links.empty();
    for (auto& s : e.switches)
      tell_switch(s);
    for (auto& link : e.links)
      tell_link(board, link);
    notes.links.merge(e.rows);
    if (e.journal)
      notes.journals[name] = std::move(*e.journal);
    arm(board.next_deadline());
  }
  if (!notes.empty())
    ctx->writer.send(std::move(notes));
  if (changed)
    show();
}

void dispatcher_state::tell_switch(const v1::LinkSwitch& s) {
  log::warn("{} destination={} class={} from={} to={} cause=\"{}\"", s.kind(), s.destination(), s.record_class(),
            s.from().empty() ? "-" : s.from(), s.to().empty() ? "-" : s.to(), s.cause());
  ctx->rt.metrics()
    .counter("holdfast_store_switches_total", "Times a class went to another link",
             {{"destination", s.destination()}, {"class", s.record_class()}, {"kind", s.kind()}})
    .add();
  ctx->rt.publish("link", s);
}

void dispatcher_state::tell_link(const route_board& board, const std::string& link) {
  const auto order = board.order(link);
  ctx->rt.set_state("link:" + link, order.state(), board.cause(link));
  const auto attached = links.find(link);
  if (attached == links.end() || attached->second.session != order.session())
    return;
  v1::RouteMessage m;
  *m.mutable_order() = order;
  send(attached->second.peer, m);
}

void dispatcher_state::arm(std::optional<link::time_point> due) {
  if (!due || !wake.arm(*due))
    return;
  self->delayed_send(self, std::max(*due - link::clock::now(), link::clock::duration(0)), route_due{});
}

void dispatcher_state::show() {
  v1::LinksReply all;
  for (auto& [name, board] : boards)
    board.fill(all, present());
  std::stable_sort(all.mutable_switches()->begin(), all.mutable_switches()->end(),
                   [](auto& a, auto& b) { return a.unix_nanos() < b.unix_nanos(); });
  for (auto& l : all.links()) {
    const metrics::labels tags{{"link", l.name()}, {"destination", l.destination()}};
    auto& m = ctx->rt.metrics();
    const auto set = [&](const char* metric, const char* help, auto n) {
      m.gauge(metric, help, tags).set(static_cast<double>(n));
    };
    set("holdfast_store_link_carries", "Classes that this link carries", l.carries_size());
    set("holdfast_store_link_in_flight_bytes", "Bytes on their way on this link", l.in_flight_bytes());
    set("holdfast_store_link_used_day_bytes", "Bytes moved today (UTC)", l.used_day_bytes());
    set("holdfast_store_link_used_month_bytes", "Bytes moved this month (UTC)", l.used_month_bytes());
    for (auto state : link::link_states)
      m.gauge("holdfast_store_link_state", "1: the link is in this state",
              {{"link", l.name()}, {"destination", l.destination()}, {"state", link::to_string(state)}})
        .set(l.state() == link::to_string(state) ? 1 : 0);
  }
  ctx->links.set(std::move(all));
}

} // namespace holdfast::store
