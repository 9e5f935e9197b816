#include "common/bus/loop.hpp"

#include "common/bus/loop_impl.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace holdfast::bus {

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
  impl_->timers.push_back({period, std::chrono::steady_clock::now() + period, std::move(work)});
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

} // namespace holdfast::bus
