// SESSION, the link's side: what it is like (link_watch), what the store is told of it and orders, and what the kernel
// says.

#include "services/uplink/session_state.hpp"

#include "common/net/io_loop.hpp"
#include "common/telemetry/log.hpp"

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

namespace holdfast::uplink {

using namespace std::chrono_literals;
using clock = heartbeat::clock;

namespace {
constexpr auto status_period = 1s;
constexpr auto soonest = 1ms;  // whatever is due
} // namespace

void session_state::open_watch() {
  watch = std::make_unique<link_watch>(link());
  auto* slot = &ctx->session;
  door = knock::make(ctx->rt.io().context(), link(), ctx->addresses, [slot] { slot->send(knocked{}); });
  kernel = net::kernel_watch::make(ctx->rt.io().context(), link().interface,
                                   [slot](const net::kernel_view::verdict& v) { slot->send(kernel_said{v}); });
}

void session_state::ping(std::uint64_t ping_id) {
  v1::WireMessage m;
  m.mutable_ping()->set_id(ping_id);
  m.mutable_ping()->set_sent_monotonic_nanos(static_cast<std::uint64_t>(boottime_nanos()));
  line->send(m);
}

void session_state::describe_session() {
  const auto h = watch->health(clock::now());
  const bool works = h == link::health::up;
  const auto what = fmt::format("{} ({}){}{}", peer, collector, order.state().empty() ? "" : ", ", order.state());
  state(works ? "connected" : to_string(h), works ? what : fmt::format("{}: {}", what, watch->cause()),
        works || h == link::health::suspect);
}

/// The heartbeat asks only where the monitor does not: on a metered link each ping counts.
void session_state::ping_if_silent() {
  const auto now = clock::now();
  const auto next = watch->next_deadline();
  if (next && *next < now + link().heartbeat_timeout / 2)
    return;
  if (auto due = life->ping_due(now))
    ping(*due);
}

// The kernel's figures are read before the judgement that they may change.
void session_state::look() {
  const auto now = clock::now();
  if (line)
    watch->path(line->path(), now);
  watch->tick(now);
  watched();
}

// TCP would be silent for as long again as it was (RFC 6298, 5.5): another connection is sooner. Nothing of this one is
// needed, for the store took back what it held. Where neither it nor the one before brought anything, a path
// that lets only small segments pass would be found open each time.
void session_state::give_up() {
  if (!retry->in_vain())
    door->start();
  drop(watch->cause());
}

void session_state::watched() {
  const auto now = clock::now();
  const auto due = watch->take(now);
  for (auto p : due.pings)
    if (established)
      ping(p);
  if (due.changed) {
    if (watch->health(now) == link::health::down)
      outstanding = 0;  // the store takes back what it held, and what goes twice may be answered once
    if (established)
      describe_session();
    report();
  }
  if (due.give_up && established)
    give_up();
  const auto next = watch->next_deadline();
  if (!next || (armed && *armed <= *next))
    return;
  armed = next;
  self->delayed_send(self, std::max<clock::duration>(*next - now, soonest), watch_due{*next});
}

void session_state::on_watch_due(const watch_due& d) {
  if (armed != d.at)
    return;  // an earlier one took its place
  armed.reset();
  look();
}

void session_state::report() {
  const auto now = clock::now();
  figures->show(*watch, door->asked(), now);
  reported = now;
  if (!store.known() || !store_reachable || hello.asking())
    return;
  v1::LinkMessage m;
  auto& s = *m.mutable_status();
  s.set_link(link().name);
  s.set_session(id);
  watch->describe(s, now);
  s.set_sent_sessions(session_count);
  to_store(m);
}

void session_state::report_if_due() {
  if (clock::now() - reported >= status_period)
    report();
}

// -- orders -----------------------------------------------------------------------------------------------------------

void session_state::on_order(const v1::LinkOrder& o) {
  const bool wakes = order.take(o.connect(), o.state(), clock::now());
  if (established)
    describe_session();
  if (!order.wanted())
    return rest_if_done();
  if (wakes && !line && store.known())
    connect();
}

/// Ends an unwanted session once what is in flight was answered, or its time is over.
void session_state::rest_if_done() {
  if (order.wanted())
    return;
  const bool answered = !established || outstanding == 0;
  if (line && order.over(answered, clock::now()))
    return drop(fmt::format("not wanted: {}", order.state()), false);
  if (line)
    return;
  door->stop();
  state("resting", order.state());
}

// -- kernel -----------------------------------------------------------------------------------------------------------

void session_state::on_kernel(const kernel_said& k) {
  const bool was = path_there;
  path_there = k.verdict.carrier && k.verdict.route;
  log::info("kernel carrier={} route={} link={} detail=\"{}\"", k.verdict.carrier, k.verdict.route, link().name,
            k.verdict.detail);
  watch->kernel(k.verdict.carrier, k.verdict.route, clock::now());
  watched();
  if (path_there && !was && !line && store.known())
    connect();
}

// An attempt that is under way may be waiting for TCP to ask again.
void session_state::on_knocked() {
  if (established || !store.known() || !order.wanted())
    return;
  if (line)
    forget_line("the way is open again");
  connect();
}

} // namespace holdfast::uplink
