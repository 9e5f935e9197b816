#include "tests/simulation/network.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::simulation {

using namespace std::chrono_literals;

void path::reset() {
  for (auto& c : std::exchange(connections, {}))
    if (auto at = c.lock())
      for (auto s : {gateway, centre})
        if (!at->ends[s].closed)
          at->close(s, "connection reset");
}

void path::process_ended(process& p) {
  std::erase_if(connections, [](auto& c) { return c.expired(); });
  const auto all = connections;
  for (auto& c : all)
    if (auto at = c.lock())
      for (auto s : {gateway, centre})
        if (at->ends[s].who == &p && !at->ends[s].closed)
          at->close(s, "process ended", false);
}

connection::connection(path& p, process& from, process& to) : path_(p) {
  ends[gateway].who = &from;
  ends[gateway].life = from.life();
  ends[centre].who = &to;
}

// -- opening ----------------------------------------------------------------------------------------------------------

std::shared_ptr<connection> connection::dial(path& p, process& from, process& to, duration timeout, task opened,
                                             accept accepted) {
  auto c = std::make_shared<connection>(p, from, to);
  std::erase_if(p.connections, [](auto& o) { return o.expired(); });
  p.connections.push_back(c);
  c->knock(0ns, timeout, std::make_shared<task>(std::move(opened)), std::make_shared<accept>(std::move(accepted)));
  return c;
}

// SYN, again after 1 s, 2 s, 4 s, ...
void connection::knock(duration waited, duration timeout, const std::shared_ptr<task>& opened,
                       const std::shared_ptr<accept>& accepted) {
  auto& w = path_.w;
  w.after(path_.round_trip(), [=, this, self = shared_from_this()] {
    auto& to = *ends[centre].who;
    if (ends[gateway].closed)
      return;
    if (!path_.open()) {
      const auto pause = std::max<duration>(waited, 1s);
      if (waited + pause > timeout)
        return close(gateway, "no connection in time");
      return path_.w.after(pause, [=, this, self = shared_from_this()] {
        if (!ends[gateway].closed)
          knock(waited + pause, timeout, opened, accepted);
      });
    }
    answered_ = true;
    if (!to.alive())
      return close(gateway, "connection refused");
    open_ = true;
    ends[centre].life = to.life();
    to.enter([self = shared_from_this(), accepted] { (*accepted)(self); });
    ends[gateway].who->enter([self = shared_from_this(), opened] {
      if (!self->ends[gateway].closed)
        (*opened)();
    });
  });
}

// -- frames -----------------------------------------------------------------------------------------------------------

void connection::send(side from, wire m) {
  if (ends[from].closed)
    return;
  auto& w = path_.w;
  auto& queue = halves_[from].queue;
  const auto bytes = 60 + m.payload.size() + 16 * (m.present.size() + m.elsewhere.size());
  auto& busy = path_.busy[from];
  busy = std::max(busy, w.now()) + duration(static_cast<duration::rep>(static_cast<double>(bytes) / path_.rate * 1e9));
  const auto due = std::max(queue.empty() ? w.now() : queue.back().due,
                            busy + path_.delay + w.net.between(0ns, path_.jitter));
  queue.push_back({due, bytes, std::move(m), false});
  wire_bytes_ += bytes;
  pump(from);
}

void connection::pump(side from) {
  auto& h = halves_[from];
  if (h.scheduled || h.queue.empty())
    return;
  h.scheduled = true;
  auto wait = h.queue.front().due - path_.w.now();
  if (path_.cut[from] && wait <= 0ns)  // sent again, ever more rarely
    wait = path_.w.net.between(100ms, 200ms) * (1 << std::min(h.stalls++, 4U));
  path_.w.after(wait, [this, from, self = shared_from_this()] {
    auto& half = halves_[from];
    half.scheduled = false;
    while (!path_.cut[from] && !half.queue.empty() && half.queue.front().due <= path_.w.now()) {
      auto f = std::move(half.queue.front());
      half.queue.pop_front();
      half.stalls = 0;
      arrive(from, std::move(f));
    }
    pump(from);
  });
}

void connection::arrive(side from, frame f) {
  const auto to = from == gateway ? centre : gateway;
  if (from == gateway && !path_.cut[centre]) {
    acknowledged_ += f.bytes;
    ++frames_;
  }
  if (ends[to].closed)
    return;
  if (f.last)
    return close(to, "closed by the other end");
  auto* who = ends[to].who;
  if (who->life() != ends[to].life)
    return;
  who->enter([self = shared_from_this(), to, m = std::move(f.m)] {
    if (auto& e = self->ends[to]; !e.closed && e.message)
      e.message(m);
  });
}

void connection::close(side who, const std::string& why, bool tell) {
  auto& e = ends[who];
  if (std::exchange(e.closed, true))
    return;
  const auto other = who == gateway ? centre : gateway;
  auto& sent = halves_[who].queue;
  if (!ends[other].closed && open_) {
    const auto arrive = path_.w.net.below(sent.size() + 1);  // the tail goes with the socket, or not
    sent.erase(sent.begin() + static_cast<std::ptrdiff_t>(arrive), sent.end());
    sent.push_back({path_.w.now() + path_.delay, 40, {.what = wire::type::refusal}, true});
    if (sent.size() > 1)
      sent.back().due = std::max(sent.back().due, sent[sent.size() - 2].due);
    pump(who);
  }
  halves_[other].queue.clear();
  if (tell)
    over(who, why);
}

void connection::over(side who, const std::string& why) {
  auto* p = ends[who].who;
  path_.w.after(10us, [self = shared_from_this(), who, why, p, life = ends[who].life] {
    if (p->life() == life)
      p->enter([self, who, why] {
        if (auto& f = self->ends[who].over)
          f(why);
      });
  });
}

net::path_figures connection::figures() const {
  net::path_figures f;
  f.acknowledged = acknowledged_;
  f.delivered = frames_;
  f.waiting = !halves_[gateway].queue.empty();
  f.data_segments = frames_ + halves_[gateway].queue.size();
  f.unsent = f.waiting && halves_[gateway].queue.back().due > path_.w.now() + path_.delay + path_.jitter;
  f.round_trip = std::chrono::duration_cast<std::chrono::microseconds>(2 * path_.delay);
  f.variation = std::chrono::duration_cast<std::chrono::microseconds>(path_.jitter);
  f.wire_bytes = wire_bytes_;
  return f;
}

} // namespace holdfast::simulation
