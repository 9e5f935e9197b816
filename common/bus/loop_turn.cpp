// The loop's thread: what it waits for, and what each turn does.

#include "common/bus/loop_impl.hpp"

#include <algorithm>
#include <cerrno>

namespace holdfast::bus {

namespace {

using clock = std::chrono::steady_clock;

// A socket that is held is looked at again after this long.
constexpr int hold_ms = 2;

} // namespace

void loop::impl::run() {
  runner = std::this_thread::get_id();
  while (!done) {
    if (items.empty()) {
      polled.clear();
      items.push_back({nullptr, wake, ZMQ_POLLIN, 0});
      for (std::size_t i = 0; i < sockets.size(); ++i) {
        items.push_back({sockets[i]->socket.handle(), 0, ZMQ_POLLIN, 0});
        polled.push_back({i, false});
        if (sockets[i]->monitor) {
          items.push_back({sockets[i]->monitor.handle(), 0, ZMQ_POLLIN, 0});
          polled.push_back({i, true});
        }
      }
    }
    const bool held = hold();
    if (::zmq_poll(items.data(), static_cast<int>(items.size()), poll_timeout(held)) < 0 && errno != EINTR)
      break;
    if (items[0].revents != 0) {
      std::uint64_t count;
      [[maybe_unused]] auto n = ::read(wake, &count, sizeof count);
    }
    const auto ready = items;  // draining may open sockets
    const auto which = polled;
    drain_queues();
    for (std::size_t i = 0; i < which.size(); ++i) {
      if (ready[i + 1].revents == 0)
        continue;
      auto& s = *sockets[which[i].socket];
      if (which[i].monitor)
        read_monitor(s);
      else
        read(s);
    }
    fire_timers();
  }
  drain_queues();
  for (auto& s : sockets) {
    s->monitor.close();
    s->socket.close();
  }
}

// Tells ZeroMQ's poll which sockets are to be read; true: not all of them.
bool loop::impl::hold() {
  bool any = false;
  for (std::size_t i = 0; i < polled.size(); ++i) {
    auto& s = *sockets[polled[i].socket];
    if (polled[i].monitor || !s.options.hold)
      continue;
    const bool held = s.options.hold();
    items[i + 1].events = held ? short{0} : short{ZMQ_POLLIN};
    any = any || held;
  }
  return any;
}

int loop::impl::poll_timeout(bool held) {
  {
    std::lock_guard lock(mutex);
    if (!outbound.empty() || !posted.empty())
      return 0;  // queued by a handler of this thread, which does not wake itself
  }
  auto next = clock::now() + std::chrono::seconds(1);
  for (auto& t : timers)
    next = std::min(next, t.due);
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now()).count();
  const auto due = static_cast<int>(std::max<std::int64_t>(wait, 0));
  return held ? std::min(due, hold_ms) : due;
}

void loop::impl::fire_timers() {
  const auto now = clock::now();
  for (auto& t : timers) {
    if (t.due > now)
      continue;
    t.due = std::max(t.due + t.period, now);
    t.work();
  }
}

void loop::impl::drain_queues() {
  std::vector<std::pair<socket, message>> messages;
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mutex);
    messages.swap(outbound);
    work.swap(posted);
  }
  for (auto& w : work)
    w();
  for (auto& [s, m] : messages)
    write(s, m);
}

} // namespace holdfast::bus
