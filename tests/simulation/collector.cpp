#include "tests/simulation/collector.hpp"

#include "holdfast/v1/dispatch.pb.h"
#include "holdfast/v1/record.pb.h"
#include "tests/simulation/keeper.hpp"

#include <algorithm>

namespace holdfast::simulation {

using namespace std::chrono_literals;
using verdict = collector::inbox::verdict;

namespace {
constexpr auto idle_timeout = 60s;  // config::collector
constexpr auto hello_deadline = 10s;
} // namespace

collector_process::collector_process(site& s, const std::string& d)
    : process(s.w, "collector-" + d), destination(d), site_(s), disk_(s.archives[d]) {}

collector_process& collector_process::of(site& s, const std::string& destination) {
  return **std::find_if(s.collectors.begin(), s.collectors.end(),
                        [&](auto& c) { return c->destination == destination; });
}

void collector_process::boot() {
  box_ = std::make_unique<mailbox>(*this);
  present_ = std::make_unique<collector::inbox>();
  disk_.load(*present_);
  waiting_.clear();
  scheduled_ = false;
}

void collector_process::end() {
  box_.reset();
  present_.reset();
  sessions_.clear();
  waiting_.clear();
  for (auto& p : site_.paths)
    p->process_ended(*this);
  crash(w, disk_);
}

// -- sessions ---------------------------------------------------------------------------------------------------------

void collector_process::accept(std::shared_ptr<connection> c) {
  auto s = std::make_shared<session>();
  s->line = std::move(c);
  for (std::size_t i = 0; i < site_.uplinks.size(); ++i)
    if (s->line->ends[gateway].who == static_cast<process*>(site_.processes[1 + i]))
      s->link = site_.config.links[i].name;
  sessions_.insert(s);
  auto& e = s->line->ends[centre];
  e.message = [this, p = std::weak_ptr(s)](const wire& m) {
    if (auto at = p.lock())
      on_frame(at, m);
  };
  e.over = [this, p = std::weak_ptr(s)](const std::string&) {
    if (auto at = p.lock())
      sessions_.erase(at);
  };
  after(hello_deadline, [this, p = std::weak_ptr(s)] {
    if (auto at = p.lock(); at && at->gateway.empty())
      at->line->close(centre, "no hello in time");
  });
}

void collector_process::watch(const peer& p) {
  after(idle_timeout, [this, weak = std::weak_ptr(p)] {
    const auto at = weak.lock();
    if (!at)
      return;
    if (!std::exchange(at->heard, false))
      return at->line->close(centre, "silent for too long");
    watch(at);
  });
}

void collector_process::on_frame(const peer& from, const wire& m) {
  from->heard = true;
  if (m.what == wire::type::hello) {
    from->gateway = m.text;
    from->epoch = m.epoch;
    watch(from);
    return box_->send([this, from] {
      commit([this, from] {
        from->line->send(centre, {.what = wire::type::welcome, .present = present_->present(from->gateway, from->epoch),
                                  .elsewhere = present_->elsewhere(from->gateway, from->epoch)});
      });
    });
  }
  if (m.what == wire::type::ping)
    return from->line->send(centre, {.what = wire::type::pong, .id = m.id});
  const auto record_class = w.has(defect::classes_mixed) ? "any" : m.text;
  arrived a{from, {from->gateway, from->epoch, record_class}, m.seqs, m.crc, m.gap_reason, m.historical, m.check_only,
            m.payload};
  box_->send([this, a = std::move(a)] { on_arrived(a); });
}

// -- ARCHIVE ----------------------------------------------------------------------------------------------------------

void collector_process::on_arrived(const arrived& a) {
  if (a.from->refused && !w.has(defect::refused_stored))
    return;
  if (a.gap_reason != 0)
    return take_gap(a);
  const auto found = w.has(defect::duplicates_stored) ? verdict::fresh
                     : a.check_only ? present_->look(a.origin, a.seqs) : present_->take(a.origin, a.seqs);
  if (found == verdict::duplicate && same(a))
    return wait(a, false);
  if (a.check_only && disk_.same_elsewhere(a.origin, a.seqs, a.crc)) {
    auto gap = a;
    gap.gap_reason = v1::GAP_REASON_CONFIRMED_BEFORE;
    return take_gap(gap);
  }
  if (a.check_only && found == verdict::fresh)
    return reject(a, v1::Rejected::REASON_MISSING);
  if (found != verdict::fresh)
    return reject(a, v1::Rejected::REASON_CONFLICT);
  wait(a, true);
}

void collector_process::take_gap(const arrived& a) {
  for (auto& piece : present_->missing(a.origin, a.seqs)) {
    auto part = a;
    part.seqs = piece;
    part.from = nullptr;
    present_->take(a.origin, piece);
    wait(part, true);
  }
  wait(a, false);
}

bool collector_process::same(const arrived& a) const {
  return disk_.same(a.origin, a.seqs, a.crc) || std::any_of(waiting_.begin(), waiting_.end(), [&](auto& x) {
    return x.fresh && x.batch.gap_reason == 0 && x.batch.origin == a.origin && x.batch.seqs == a.seqs
           && x.batch.crc == a.crc;
  });
}

void collector_process::reject(const arrived& a, int why) {
  w.trace(name, "rejects {} {} to {}", a.origin.record_class, a.seqs.first, a.seqs.last);
  a.from->line->send(centre, {.what = wire::type::rejected, .text = a.origin.record_class, .seqs = a.seqs,
                              .reason = why});
}

void collector_process::wait(const arrived& a, bool fresh) {
  if (w.has(defect::tail_dropped) && a.from && a.from->line->ends[centre].closed)
    return;
  waiting_.push_back({a, fresh});
  if (w.has(defect::archive_ack_before_commit))
    acknowledge();
  if (std::exchange(scheduled_, true))
    return;
  box_->send([this] {
    scheduled_ = false;
    commit();
  });
}

// The actor waits for the disk, its mailbox meanwhile.
void collector_process::commit(task then) {
  if (std::none_of(waiting_.begin(), waiting_.end(), [](auto& x) { return x.fresh; })) {
    stand();
    return then ? then() : void();
  }
  for (auto& [a, fresh] : waiting_) {
    if (!fresh)
      continue;
    disk_.batches_in_flight.push_back([this, a = a, stray = a.from && !site_.model.lease_held(
                                                      destination, a.from->link, a.origin.record_class, a.seqs.first,
                                                      a.historical)] {
      w.trace(name, "stores {} {} {} to {} of {}", a.gap_reason != 0 ? "gap" : a.historical ? "backlog" : "live",
              a.origin.record_class, a.seqs.first, a.seqs.last, a.from ? a.from->link : "a gap");
      disk_.batches[a.origin][a.seqs.first] = {static_cast<std::uint32_t>(a.seqs.count()), a.crc, a.gap_reason};
      site_.model.archived({destination, a.origin.epoch, a.origin.record_class, a.seqs, a.crc, a.gap_reason,
                            a.historical, stray, a.payload, a.from ? a.from->link : ""});
    });
    disk_.rows_in_flight.push_back([this, o = a.origin, all = present_->ranges(a.origin)] { disk_.origins[o] = all; });
  }
  box_->block();
  const auto took = w.disk.between(200us, 6ms) + disk_.slow;
  if (std::exchange(kill_in_commit, false))
    w.after(took / 2, [this, l = life()] {
      if (life() == l)
        site_.centre_watchdogs[static_cast<std::size_t>(
          std::find_if(site_.collectors.begin(), site_.collectors.end(), [&](auto& c) { return c.get() == this; })
          - site_.collectors.begin())]->signal(*this, "killed in a commit");
    });
  after(took, [this, then = std::move(then)] {
    box_->unblock();
    if (w.now() < disk_.failing && !w.disk.yes(0.3)) {
      disk_.rows_in_flight.clear();
      disk_.batches_in_flight.clear();
      give_up();
    } else {
      disk_.apply();
      stand();
    }
    if (then)
      then();
  });
}

void collector_process::stand() {
  acknowledge();
  waiting_.clear();
}

void collector_process::acknowledge() {
  std::vector<std::pair<peer, std::map<std::string, range_set>>> answers;  // in an order that does not follow addresses
  for (auto& [a, fresh] : waiting_) {
    if (!a.from)
      continue;
    auto at = std::find_if(answers.begin(), answers.end(), [&](auto& x) { return x.first == a.from; });
    if (at == answers.end())
      at = answers.insert(answers.end(), {a.from, {}});
    at->second[a.origin.record_class].insert(a.seqs);
  }
  for (auto& [to, stored] : answers) {
    wire m{.what = wire::type::ack};
    for (auto& [record_class, set] : stored)
      m.present[record_class] = set.ranges();
    to->line->send(centre, std::move(m));
  }
}

void collector_process::give_up() {
  w.trace(name, "commit failed");
  for (auto& [a, fresh] : waiting_) {
    if (fresh && !w.has(defect::give_back_forgotten))
      present_->give_back(a.origin, a.seqs);
    if (a.from)
      a.from->refused = true;
    if (a.from && !a.from->line->ends[centre].closed) {
      a.from->line->send(centre, {.what = wire::type::refusal, .text = "archive cannot store now"});
      a.from->line->close(centre, "archive cannot store now");
    }
  }
  waiting_.clear();
}

} // namespace holdfast::simulation
