#include "tests/simulation/uplink.hpp"

#include "tests/simulation/collector.hpp"
#include "tests/simulation/store.hpp"

#include <algorithm>

namespace holdfast::simulation {

using namespace std::chrono_literals;

namespace {
// As in session_actor.cpp and session_link.cpp.
constexpr auto tick_period = 250ms;
constexpr int acknowledgement_timeouts = 3;
constexpr auto status_period = 1s;
constexpr auto last_answers = 2s;
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

// -- store --------------------------------------------------------------------------------------------------------------

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

void uplink_process::on_welcome(std::uint64_t session, std::uint64_t epoch) {
  auto& s = *me_;
  if (session != s.id)
    return;
  const bool same = s.welcomed && s.epoch == epoch;
  s.hello.over();
  s.welcomed = true;
  s.epoch = epoch;
  s.wanted = true;
  s.unwanted_since = {};
  if (s.line && (s.established || !same))
    forget_line("the store began anew");
  report();
  if (!s.line)
    connect();
}

void uplink_process::on_refusal(std::uint64_t session, v1::LinkRefusal::Reason) {
  if (session == me_->id && !me_->hello.asking())
    say_hello();
}

void uplink_process::on_dispatch(std::uint64_t session, const wire& m) {
  auto& s = *me_;
  if (session != s.id || !s.established)
    return;
  if (w.has(defect::batches_swapped) && !s.held_back && w.load.yes(0.1)) {
    s.held_back = m;
    return;
  }
  s.line->send(gateway, m);
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
    to_store([&to = *site_.store, d = delivered{link().name, s.id, s.epoch, {{m.text, {m.seqs}}}}] {
      to.dispatch->box.send([&at = *to.dispatch, d] { at.on_delivered(d); });
    });
  watched();
  if (s.held_back)
    on_dispatch(session, *std::exchange(s.held_back, std::nullopt));
}

void uplink_process::on_order(std::uint64_t session, bool wanted) {
  auto& s = *me_;
  if (session != s.id)
    return;
  const bool wakes = !s.wanted && wanted;
  s.wanted = wanted;
  if (!s.wanted && s.unwanted_since == time_point{})
    s.unwanted_since = w.now();
  if (!s.wanted)
    return rest_if_done();
  s.unwanted_since = {};
  if (wakes && !s.line && s.welcomed)
    connect();
}

void uplink_process::rest_if_done() {
  auto& s = *me_;
  if (s.wanted)
    return;
  const bool answered = !s.established || s.outstanding == 0;
  if (s.line && (answered || w.now() - s.unwanted_since >= last_answers))
    drop("not wanted");
}

// -- destination --------------------------------------------------------------------------------------------------------

void uplink_process::connect() {
  auto& s = *me_;
  if (!s.wanted)
    return rest_if_done();
  const auto n = ++s.attempt;
  s.opened = false;
  if (!s.watch.allow(w.now())) {
    const auto wait = std::max<duration>(s.watch.next_attempt().value_or(w.now()) - w.now(), 1ms);
    after(wait, [this, n] {
      if (n == me_->attempt && !me_->line && me_->welcomed)
        connect();
    });
    return watched();
  }
  s.watch.connecting(w.now());
  auto& centre_process = collector_process::of(site_, link().destination);
  s.line = connection::dial(*site_.paths[number_], *this, centre_process, link().connect_timeout,
                            [this, n] { on_opened(n); },
                            [&centre_process](std::shared_ptr<connection> c) { centre_process.accept(std::move(c)); });
  s.line->ends[gateway].message = [this, n](const wire& m) { on_peer(n, m); };
  s.line->ends[gateway].over = [this, n](const std::string& why) { on_ended(n, why); };
  watched();
}

void uplink_process::on_opened(std::uint64_t attempt) {
  auto& s = *me_;
  if (attempt != s.attempt || !s.line)
    return;
  s.opened = true;
  s.opened_at = w.now();
  s.life.opened(w.now());
  s.line->send(gateway, {.what = wire::type::hello, .text = site_.config.name, .epoch = s.epoch});
}

void uplink_process::on_peer(std::uint64_t attempt, const wire& m) {
  auto& s = *me_;
  if (attempt != s.attempt || !s.line)
    return;
  s.life.heard(w.now());
  s.watch.heard(w.now());
  switch (m.what) {
    case wire::type::welcome: return on_peer_welcome(m);
    case wire::type::ack: return on_ack(m);
    case wire::type::rejected:
      s.watch.answered(m.text, m.seqs.first, m.seqs.first, w.now());
      acknowledged(m.seqs.count());
      return on_rejected(m);
    case wire::type::pong:
      s.watch.pong(m.id, w.now());
      return watched();
    case wire::type::refusal: return drop("refused: " + m.text);
    default: return;
  }
}

void uplink_process::on_peer_welcome(const wire& m) {
  auto& s = *me_;
  w.trace(name, "session stands");
  s.established = true;
  s.outstanding = 0;
  s.in_flight = 0;
  s.bytes_out.clear();
  s.held_back.reset();
  s.retry.established(w.now());
  s.watch.opened(w.now());
  watched();
  to_store([&to = *site_.store, name = link().name, id = s.id, epoch = s.epoch, window = link().window.count,
            p = m.present, e = m.elsewhere] {
    to.dispatch->box.send([&at = *to.dispatch, name, id, epoch, window, p, e] {
      at.on_ready(name, id, epoch, window, p, e);
    });
  });
}

void uplink_process::on_ack(const wire& m) {
  auto& s = *me_;
  delivered d{link().name, s.id, s.epoch, m.present};
  std::uint64_t records = 0;
  for (auto& [record_class, ranges] : m.present)
    for (auto& r : ranges) {
      site_.model.confirmed(link().destination, record_class, r);
      records += r.count();
      s.watch.answered(record_class, r.first, r.last, w.now());
      for (auto n = r.first; n <= r.last; ++n)
        if (const auto out = s.bytes_out.find(record_class + ' ' + std::to_string(n)); out != s.bytes_out.end()) {
          s.in_flight -= out->second;
          s.bytes_out.erase(out);
        }
    }
  if (w.has(defect::acknowledged_up_to))
    for (auto& [record_class, ranges] : d.ranges)
      ranges = {{1, ranges.back().last}};
  acknowledged(records);
  to_store([&to = *site_.store, d] { to.dispatch->box.send([&at = *to.dispatch, d] { at.on_delivered(d); }); });
}

void uplink_process::acknowledged(std::uint64_t records) {
  me_->outstanding -= std::min(me_->outstanding, records);
  me_->progress = w.now();
  watched();
}

void uplink_process::on_rejected(const wire& m) {
  to_store([&to = *site_.store, r = rejected{link().name, me_->id, me_->epoch, m.text, m.seqs.first, m.reason}] {
    to.dispatch->box.send([&at = *to.dispatch, r] { at.on_rejected(r); });
  });
}

void uplink_process::drop(const std::string& why) {
  if (me_->line)
    me_->line->close(gateway, why);  // on_ended follows
}

void uplink_process::forget_line(const std::string& why) {
  auto& s = *me_;
  s.watch.path(s.line->figures(), w.now());
  s.watch.closed(why, false, w.now());
  s.line->close(gateway, why, false);
  s.line = nullptr;
  s.established = false;
}

void uplink_process::on_ended(std::uint64_t attempt, const std::string& why) {
  auto& s = *me_;
  if (attempt != s.attempt || !s.line)
    return;
  w.trace(name, "connection ended: {}", why);
  s.watch.path(s.line->figures(), w.now());
  s.line = nullptr;
  if (s.wanted)
    s.retry.lost(w.now());
  s.watch.closed(why, s.wanted && !s.retry.quick(), w.now());
  if (std::exchange(s.established, false))
    to_store([&to = *site_.store, name = link().name, id = s.id, why] {
      to.dispatch->box.send([&at = *to.dispatch, name, id, why] { at.on_down(name, id, why); });
    });
  watched();
  if (!s.wanted)
    return rest_if_done();
  if (w.has(defect::reconnect_forgotten))
    return;
  after(s.retry.wait(w.load.unit()), [this, attempt] {
    if (attempt == me_->attempt && !me_->line && me_->welcomed)
      connect();
  });
}

// -- the link -----------------------------------------------------------------------------------------------------------

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
    w.trace(name, "{}: {}", link::to_string(s.watch.health(w.now())), s.watch.cause());
    report();
  }
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

void uplink_process::report() {
  auto& s = *me_;
  s.reported = w.now();
  if (!s.welcomed || !s.store_reachable || s.hello.asking())
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
    to_store([&to = *site_.store, d = delivered{link().name, s.id, s.epoch, {}}] {
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
