#include "tests/simulation/world.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::simulation {

using namespace std::chrono_literals;

// -- time -------------------------------------------------------------------------------------------------------------

void world::after(duration d, task what) {
  events_.push_back({now_ + std::max(d, duration(0)), ++steps_, std::move(what)});
  std::push_heap(events_.begin(), events_.end());
}

bool world::step(time_point end) {
  if (events_.empty() || events_.front().at > end) {
    now_ = end;
    return false;
  }
  std::pop_heap(events_.begin(), events_.end());
  auto e = std::move(events_.back());
  events_.pop_back();
  now_ = e.at;
  e.what();
  return true;
}

void world::note(const std::string& who, const std::string& text) {
  const auto t = std::chrono::duration<double>(now_ - begin()).count();
  lines_.push_back(fmt::format("{:11.6f} {:<14} {}", t, who, text));
  if (lines_.size() > most_lines)
    lines_.pop_front();
}

// -- process ----------------------------------------------------------------------------------------------------------

void process::start() {
  alive_ = true;
  hung_ = false;
  ++life_;
  w.trace(name, "starts, life {}", life_);
  boot();
  for (auto& f : watchers)
    f(true);
}

void process::kill(const std::string& why) {
  if (!alive_)
    return;
  w.trace(name, "ends: {}", why);
  alive_ = hung_ = false;
  held_.clear();
  for (auto& f : watchers)
    f(false);
  end();
}

void process::hang() {
  hung_ = alive_;
  w.trace(name, "hangs");
}

void process::wake() {
  if (!std::exchange(hung_, false))
    return;
  w.trace(name, "goes on");
  for (auto& t : std::exchange(held_, {}))
    after(0ns, std::move(t));
}

void process::after(duration d, task what) {
  w.after(d, [this, life = life_, what = std::move(what)]() mutable {
    if (life == life_)
      enter(std::move(what));
  });
}

void process::enter(task what) {
  if (!alive_)
    return;
  hung_ ? held_.push_back(std::move(what)) : what();
}

// -- mailbox ----------------------------------------------------------------------------------------------------------

void mailbox::send(task what) {
  waiting_.push_back(std::move(what));
  schedule();
}

void mailbox::unblock() {
  blocked_ = false;
  schedule();
}

void mailbox::schedule() {
  if (blocked_ || scheduled_ || waiting_.empty())
    return;
  scheduled_ = true;
  process_.after(process_.w.load.between(1us, 20us), [this] { run(); });
}

void mailbox::run() {
  scheduled_ = false;
  while (!blocked_ && !waiting_.empty()) {
    const auto what = std::move(waiting_.front());
    waiting_.pop_front();
    what();
  }
}

// -- bus --------------------------------------------------------------------------------------------------------------

bus_link::bus_link(process& client, process& server, std::function<void(bool)> there)
    : client_(client), server_(server), there_(std::move(there)) {
  for (auto* p : {&client_, &server_})
    p->watchers.push_back([this, p](bool up) { up ? came() : went(*p); });
}

void bus_link::came() {
  if (!client_.alive() || !server_.alive())
    return;
  auto& w = client_.w;
  w.after(w.load.between(1ms, 150ms), [this, c = client_.life(), s = server_.life()] {
    if (up_ || !client_.alive() || !server_.alive() || client_.life() != c || server_.life() != s)
      return;
    up_ = true;  // messages go before the client is told: that comes by another socket
    client_.after(client_.w.load.between(0ms, 5ms), [this] { there_(true); });
  });
}

void bus_link::went(process& who) {
  if (!std::exchange(up_, false) || &who == &client_)
    return;
  client_.after(1ms, [this] { there_(false); });
}

void bus_link::flap() {
  if (!up_)
    return;
  went(server_);
  came();
}

void bus_link::send(process& from, process& to, time_point& last, task what) {
  if (!up_)
    return;
  auto& w = from.w;
  last = std::max(last, w.now() + slow_ + w.load.between(20us, 200us));
  w.after(last - w.now(), [&from, &to, a = from.life(), b = to.life(), what = std::move(what)]() mutable {
    const bool orphan = !from.alive() || from.life() != a;
    if (to.life() == b && !(orphan && a % 2 == 0))
      to.enter(std::move(what));
  });
}

} // namespace holdfast::simulation
