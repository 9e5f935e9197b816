// SESSION: its life, the store's side and the link.

#include "tests/simulation/uplink.hpp"

#include "tests/simulation/store.hpp"

namespace holdfast::simulation {

using namespace std::chrono_literals;

namespace {
// As in session_actor.cpp and session_link.cpp.
constexpr auto tick_period = 250ms;
constexpr int acknowledgement_timeouts = 3;
constexpr auto status_period = 1s;
constexpr auto soonest = 1ms;
} // namespace

uplink_process::uplink_process(site& s, std::size_t number)
    : process(s.w, "uplink-" + s.config.links[number].name), site_(s), number_(number) {}

uplink_process& uplink_process::of(site& s, const std::string& link) {
  for (std::size_t i = 0; i < s.config.links.size(); ++i)
    if (s.config.links[i].name == link)
      return *s.uplinks[i];
  throw violation("the store speaks to a link that is not configured");
}

void uplink_process::connect_bus() {
  bus = std::make_unique<bus_link>(*this, *site_.store, [this](bool yes) { on_store_there(yes); });
}

void uplink_process::boot() {
  me_ = std::make_unique<state>(link());
  me_->id = w.load.next() | 1;
  after(tick_period, [this] { tick(); });
}

void uplink_process::end() {
  me_.reset();
  site_.paths[number_]->process_ended(*this);
}

// -- store ------------------------------------------------------------------------------------------------------------

void uplink_process::on_store_there(bool yes) {
  me_->store_reachable = yes;
  me_->hello.over();
  if (yes)
    say_hello();
}

void uplink_process::say_hello() {
  auto& s = *me_;
  if (!s.store_reachable)
    return;
  s.hello.said(w.now());
  after(s.hello.wait(), [this] {
    if (me_->hello.due(w.now()))
      say_hello();
  });
  to_store([&to = *site_.store, name = link().name, id = s.id, d = link().destination] {
    to.dispatch->box.send([&at = *to.dispatch, name, id, d] { at.on_hello(name, id, d); });
  });
}

void uplink_process::on_welcome(std::uint64_t session, std::uint64_t epoch, std::uint64_t life) {
  auto& s = *me_;
  if (session != s.id)
    return;
  using news = uplink::patron::news;
  const auto what = s.store.welcome(site_.config.name, epoch, life, s.hello.asking());
  s.hello.over();
  if (s.line && (what == news::other || (s.established && what == news::anew)))
    forget_line("the store began anew");
  report();
  if (!s.line)
    connect();
}

void uplink_process::on_refusal(std::uint64_t session, v1::LinkRefusal::Reason) {
  if (session == me_->id && !me_->hello.asking())
    say_hello();
}

void uplink_process::on_dispatch(std::uint64_t session, std::uint64_t connection, const wire& m) {
  auto& s = *me_;
  if (session != s.id || !s.established)
    return;
  if (connection != 0 && connection != s.attempt)
    return w.trace(name, "{} {} was for an earlier connection", m.text, m.seqs.first);
  if (!s.store_reachable || s.hello.asking())
    return;
  if (w.has(defect::batches_swapped) && !s.held_back && w.load.yes(0.1)) {
    s.held_back = m;
    return;
  }
  site_.model.written(link().name, {s.id, s.attempt}, m.text, m.seqs.first);
  s.line->send(gateway, m);
  s.retry.sent();
  if (s.outstanding == 0)
    s.progress = w.now();
  s.outstanding += m.seqs.count();
  s.watch.sent(m.text, m.seqs.first, m.payload.size(), m.historical, w.now());
  s.in_flight += m.payload.size();
  s.bytes_out[m.text + ' ' + std::to_string(m.seqs.first)] = m.payload.size();
  if (s.in_flight > link().window.count + (1 << 12))
    throw violation(fmt::format("contract 8: {} bytes are on their way on {}, whose window is {}", s.in_flight, name,
                                link().window.count));
  if (w.has(defect::delivered_when_sent))
    to_store([&to = *site_.store, d = delivered{link().name, s.id, s.store.epoch(), {{m.text, {m.seqs}}}}] {
      to.dispatch->box.send([&at = *to.dispatch, d] { at.on_delivered(d); });
    });
  watched();
  if (s.held_back)
    on_dispatch(session, connection, *std::exchange(s.held_back, std::nullopt));
}

void uplink_process::on_order(std::uint64_t session, bool wanted) {
  auto& s = *me_;
  if (session != s.id)
    return;
  const bool wakes = s.order.take(wanted, {}, w.now());
  if (!s.order.wanted())
    return rest_if_done();
  if (wakes && !s.line && s.store.known())
    connect();
}

void uplink_process::rest_if_done() {
  auto& s = *me_;
  if (s.order.wanted())
    return;
  const bool answered = !s.established || s.outstanding == 0;
  if (s.line && s.order.over(answered, w.now()))
    return drop("not wanted");
  if (!s.line)
    knock(false);
}

// -- the link ---------------------------------------------------------------------------------------------------------

void uplink_process::ping(std::uint64_t id) { me_->line->send(gateway, {.what = wire::type::ping, .id = id}); }

void uplink_process::look() {
  if (me_->line)
    me_->watch.path(me_->line->figures(), w.now());
  me_->watch.tick(w.now());
  watched();
}

void uplink_process::watched() {
  auto& s = *me_;
  const auto due = s.watch.take(w.now());
  for (auto p : due.pings)
    if (s.established)
      ping(p);
  if (due.changed) {
    if (s.watch.health(w.now()) == link::health::down)
      s.outstanding = 0;
    w.trace(name, "{}: {}", link::to_string(s.watch.health(w.now())), s.watch.cause());
    report();
  }
  if (due.give_up && s.established)
    give_up();
  const auto next = s.watch.next_deadline();
  if (!next || (s.armed && *s.armed <= *next))
    return;
  s.armed = next;
  after(std::max<duration>(*next - w.now(), soonest), [this, at = *next] {
    if (me_->armed != at)
      return;
    me_->armed.reset();
    look();
  });
}

// The session was silent for too long: another connection is sooner than TCP's next attempt.
void uplink_process::give_up() {
  if (!me_->retry.in_vain())
    knock(true);
  drop(me_->watch.cause());
}

// As knock.cpp: while nothing answers there, connections are asked for at the pace of the probes.
void uplink_process::knock(bool yes) {
  if (std::exchange(me_->knocking, yes) == yes)
    return;
  ++me_->knocks;
  if (yes)
    wait_to_knock();
}

void uplink_process::wait_to_knock() {
  const auto& m = link().tuning.monitor;
  after(link::ticks(link::monitor::probe_pace(m, m.recovery_probe)), [this, n = me_->knocks] {
    if (!me_->knocking || n != me_->knocks)
      return;
    ++me_->knocks;  // the one before is let go
    wait_to_knock();
    after(site_.paths[number_]->round_trip(), [this, mine = me_->knocks] {
      if (me_->knocking && mine == me_->knocks && site_.paths[number_]->open())
        on_knocked();
    });
  });
}

void uplink_process::on_knocked() {
  auto& s = *me_;
  knock(false);
  if (s.established || !s.store.known() || !s.order.wanted())
    return;
  w.trace(name, "the way is open again");
  if (s.line)
    forget_line("the way is open again");
  connect();
}

void uplink_process::report() {
  auto& s = *me_;
  s.reported = w.now();
  if (!s.store.known() || !s.store_reachable || s.hello.asking())
    return;
  v1::LinkStatus status;
  status.set_link(link().name);
  status.set_session(s.id);
  s.watch.describe(status, w.now());
  to_store([&to = *site_.store, status] {
    to.dispatch->box.send([&at = *to.dispatch, status] { at.on_status(status); });
  });
}

void uplink_process::tick() {
  auto& s = *me_;
  after(tick_period, [this] { tick(); });
  if (s.established && s.store_reachable && !s.hello.asking())  // so that a store that does not know us says so
    to_store([&to = *site_.store, d = delivered{link().name, s.id, s.store.epoch(), {}}] {
      to.dispatch->box.send([&at = *to.dispatch, d] { at.on_delivered(d); });
    });
  look();
  const auto now = w.now();
  if (now - s.reported >= status_period)
    report();
  rest_if_done();
  if (!s.established) {
    if (s.line && s.opened && now - s.opened_at > link().connect_timeout)
      drop("no welcome");
    return;
  }
  s.life.carried(s.line->figures(), now);
  if (s.outstanding > 0 && s.life.overdue(s.progress, acknowledgement_timeouts * link().heartbeat_timeout, now))
    return drop("no acknowledgement");
  if (s.life.dead(now))
    return drop("no answer");
  if (const auto next = s.watch.next_deadline(); next && *next < now + link().heartbeat_timeout / 2)
    return;
  if (auto due = s.life.ping_due(now))
    ping(*due);
}

} // namespace holdfast::simulation
