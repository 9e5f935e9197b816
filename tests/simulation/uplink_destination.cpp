// SESSION, the destination's side: connect, hello with the store's epoch, data, acknowledgements, the end.

#include "tests/simulation/collector.hpp"
#include "tests/simulation/store.hpp"
#include "tests/simulation/uplink.hpp"

#include <algorithm>

namespace holdfast::simulation {

using namespace std::chrono_literals;

void uplink_process::connect() {
  auto& s = *me_;
  if (!s.order.wanted())
    return rest_if_done();
  const auto n = ++s.attempt;
  s.opened = false;
  if (!s.watch.allow(w.now())) {
    const auto wait = std::max<duration>(s.watch.next_attempt().value_or(w.now()) - w.now(), 1ms);
    after(wait, [this, n] {
      if (n == me_->attempt && !me_->line && me_->store.known())
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
  knock(false);
  s.opened = true;
  s.opened_at = w.now();
  s.life.opened(w.now());
  s.line->send(gateway, {.what = wire::type::hello, .text = site_.config.name, .epoch = s.store.epoch()});
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
  to_store([&to = *site_.store, name = link().name, id = s.id, epoch = s.store.epoch(), n = s.attempt,
            window = link().window.count, p = m.present, e = m.elsewhere] {
    to.dispatch->box.send([&at = *to.dispatch, name, id, epoch, n, window, p, e] {
      at.on_ready(name, id, epoch, n, window, p, e);
    });
  });
}

void uplink_process::on_ack(const wire& m) {
  auto& s = *me_;
  delivered d{link().name, s.id, s.store.epoch(), m.present};
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
  s.retry.acknowledged();
  to_store([&to = *site_.store, d] { to.dispatch->box.send([&at = *to.dispatch, d] { at.on_delivered(d); }); });
}

void uplink_process::acknowledged(std::uint64_t records) {
  me_->outstanding -= std::min(me_->outstanding, records);
  me_->progress = w.now();
  watched();
}

void uplink_process::on_rejected(const wire& m) {
  to_store([&to = *site_.store, r = rejected{link().name, me_->id, me_->store.epoch(), m.text, m.seqs.first, m.reason}] {
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
  const bool answered = s.line->answered();
  s.line = nullptr;
  if (s.order.wanted())
    s.retry.lost(w.now());
  s.watch.closed(why, s.order.wanted() && answered && !s.retry.quick(), w.now());
  if (!s.established)
    knock(!answered);
  if (std::exchange(s.established, false))
    to_store([&to = *site_.store, name = link().name, id = s.id, why] {
      to.dispatch->box.send([&at = *to.dispatch, name, id, why] { at.on_down(name, id, why); });
    });
  watched();
  if (!s.order.wanted())
    return rest_if_done();
  if (w.has(defect::reconnect_forgotten))
    return;
  after(s.retry.wait(w.load.unit()), [this, attempt] {
    if (attempt == me_->attempt && !me_->line && me_->store.known())
      connect();
  });
}

} // namespace holdfast::simulation
