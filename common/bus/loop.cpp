#include "common/bus/loop.hpp"

#include "common/bus/native.hpp"
#include "common/telemetry/log.hpp"
#include "common/telemetry/sparse.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace holdfast::bus {

namespace {

using clock = std::chrono::steady_clock;

// Messages taken from one socket before the others get their turn.
constexpr int burst = 64;
// A socket that is held is looked at again after this long.
constexpr int hold_ms = 2;

struct open_socket {
  socket_options options;
  zmq::socket_t socket;
  zmq::socket_t monitor;  // null: nobody asks who comes and goes
  loop::receive_handler on_message;
  loop::peer_handler on_peer;
  log::sparse refused;
};

struct timer {
  std::chrono::milliseconds period;
  clock::time_point due;
  std::function<void()> work;
};

} // namespace

struct loop::impl {
  zmq::context_t context{1};
  std::vector<std::unique_ptr<open_socket>> sockets;
  std::vector<timer> timers;
  struct polled_socket {
    loop::socket socket;
    bool monitor;
  };
  std::vector<zmq::pollitem_t> items;   // the wake-up, then one for each of `polled`
  std::vector<polled_socket> polled;
  int wake = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::mutex mutex;
  std::vector<std::pair<socket, message>> outbound;   // guarded by mutex
  std::vector<std::function<void()>> posted;          // guarded by mutex
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::uint64_t> handshake_failures{0};
  std::thread thread;
  std::atomic<std::thread::id> runner{};  // `thread` itself is still being written when its first turn begins

  ~impl() { ::close(wake); }

  void poke() {
    const std::uint64_t one = 1;
    [[maybe_unused]] auto n = ::write(wake, &one, sizeof one);
  }

  void run();
  bool hold();
  int poll_timeout(bool held);
  void fire_timers();
  void drain_queues();
  void write(socket s, message& m);
  void read(open_socket& s);
  void read_monitor(open_socket& s);
};

loop::loop() : impl_(std::make_unique<impl>()) {}

loop::~loop() { stop(); }

loop::socket loop::open(socket_options options, receive_handler on_message, peer_handler on_peer) {
  auto s = std::make_unique<open_socket>();
  s->socket = zmq::socket_t(impl_->context, native(options.kind));
  configure(s->socket, options);
  if (!options.bind.empty() || on_peer)  // the others would only cost a descriptor and a poll
    s->monitor = make_monitor(impl_->context, s->socket, impl_->sockets.size());
  try {
    if (!options.bind.empty())
      s->socket.bind(options.bind);
    for (auto& address : options.connect)
      s->socket.connect(address);
  } catch (const zmq::error_t& e) {
    throw std::runtime_error(fmt::format("failed to bind {} at {}: {}", options.name, options.bind, e.what()));
  }
  s->options = std::move(options);
  s->on_message = std::move(on_message);
  s->on_peer = std::move(on_peer);
  impl_->sockets.push_back(std::move(s));
  impl_->items.clear();  // rebuilt by the next turn
  return impl_->sockets.size() - 1;
}

void loop::connect(socket s, std::string address) {
  post([this, s, address = std::move(address)] { impl_->sockets[s]->socket.connect(address); });
}

void loop::send(socket s, message m) {
  bool first;
  {
    std::lock_guard lock(impl_->mutex);
    first = impl_->outbound.empty() && impl_->posted.empty();
    impl_->outbound.emplace_back(s, std::move(m));
  }
  if (first && std::this_thread::get_id() != impl_->runner.load())
    impl_->poke();
}

void loop::post(std::function<void()> work) {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->posted.push_back(std::move(work));
  }
  impl_->poke();
}

void loop::every(std::chrono::milliseconds period, std::function<void()> work) {
  impl_->timers.push_back({period, clock::now() + period, std::move(work)});
}

void loop::start() {
  impl_->thread = std::thread([this] { impl_->run(); });
}

void loop::stop() {
  if (!impl_->thread.joinable())
    return;
  impl_->done = true;
  impl_->poke();
  impl_->thread.join();
}

std::uint64_t loop::dropped() const noexcept { return impl_->dropped; }
std::uint64_t loop::handshake_failures() const noexcept { return impl_->handshake_failures; }

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

void loop::impl::write(socket s, message& m) {
  auto& target = sockets[s]->socket;
  std::vector<zmq::message_t> frames;
  frames.reserve(m.parts.size() + 1);
  if (sockets[s]->options.kind == socket_kind::router)
    frames.emplace_back(m.peer.data(), m.peer.size());
  for (auto& part : m.parts)
    frames.push_back(to_frame(part));
  try {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const auto more = i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
      if (!target.send(frames[i], zmq::send_flags::dontwait | more)) {
        ++dropped;  // only the first frame can be refused: ZeroMQ takes a multipart message whole
        return;
      }
    }
  } catch (const zmq::error_t&) {
    ++dropped;  // EHOSTUNREACH: this peer is gone
  }
}

void loop::impl::read(open_socket& s) {
  for (int round = 0; round < burst; ++round) {
    message m;
    bool more = true;
    bool first = true;
    while (more) {
      zmq::message_t frame;
      if (!s.socket.recv(frame, zmq::recv_flags::dontwait))
        return;
      more = frame.more();
      if (first && s.options.kind == socket_kind::router)
        m.peer = frame.to_string();
      else
        m.parts.push_back(to_blob(std::move(frame)));
      first = false;
    }
    if (s.on_message)
      s.on_message(std::move(m));
  }
}

void loop::impl::read_monitor(open_socket& s) {
  zmq::message_t event;
  zmq::message_t address;
  while (s.monitor.recv(event, zmq::recv_flags::dontwait)) {
    if (!s.monitor.recv(address, zmq::recv_flags::dontwait) || event.size() < sizeof(std::uint16_t))
      continue;
    std::uint16_t what;
    std::memcpy(&what, event.data(), sizeof what);
    if (what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED || what == ZMQ_EVENT_DISCONNECTED) {
      if (s.on_peer)
        s.on_peer(what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
      continue;
    }
    ++handshake_failures;
    if (s.refused.due() > 0)
      log::warn("bus peer refused endpoint={} cause=\"not a ZeroMQ peer, or it left during the handshake\" total={}",
                s.options.name, handshake_failures.load());
  }
}

} // namespace holdfast::bus
