#include "common/bus/native.hpp"

#include "common/core/time.hpp"

#include <fmt/format.h>

namespace holdfast::bus {

namespace {
// Below this size a copy costs less than the release callback of a shared frame.
constexpr std::size_t copy_below = 1024;
} // namespace

zmq::socket_type native(socket_kind kind) {
  switch (kind) {
    case socket_kind::router: return zmq::socket_type::router;
    case socket_kind::dealer: return zmq::socket_type::dealer;
    case socket_kind::xpub: return zmq::socket_type::xpub;
    case socket_kind::sub: return zmq::socket_type::sub;
    case socket_kind::xsub: return zmq::socket_type::xsub;
  }
  return zmq::socket_type::dealer;
}

zmq::message_t to_frame(const blob& part) {
  if (part.size() < copy_below)
    return zmq::message_t(part.data(), part.size());
  auto* keep = new blob(part);  // freed by ZeroMQ when the frame has left
  return zmq::message_t(const_cast<char*>(keep->data()), keep->size(),
                        [](void*, void* hint) { delete static_cast<blob*>(hint); }, keep);
}

blob to_blob(zmq::message_t&& frame) {
  auto owner = std::make_shared<zmq::message_t>(std::move(frame));
  const auto* data = owner->data<char>();
  const auto size = owner->size();
  return {std::move(owner), data, size};
}

zmq::socket_t make_monitor(zmq::context_t& context, zmq::socket_t& of, std::size_t number) {
  const auto address = fmt::format("inproc://monitor.{}", number);
  ::zmq_socket_monitor(of.handle(), address.c_str(),
                       ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
                         | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
  zmq::socket_t monitor(context, zmq::socket_type::pair);
  monitor.set(zmq::sockopt::linger, 0);
  monitor.connect(address);
  return monitor;
}

void configure(zmq::socket_t& s, const socket_options& o) {
  s.set(zmq::sockopt::linger, 0);
  s.set(zmq::sockopt::sndhwm, o.send_queue >= 0 ? o.send_queue : o.queue);
  s.set(zmq::sockopt::rcvhwm, o.queue);
  s.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(o.max_message != 0 ? o.max_message : 64 * 1024));
  s.set(zmq::sockopt::handshake_ivl, 5000);
  s.set(zmq::sockopt::reconnect_ivl, 10);
  s.set(zmq::sockopt::reconnect_ivl_max, 200);
  if (o.kind == socket_kind::router) {
    s.set(zmq::sockopt::router_mandatory, true);
    s.set(zmq::sockopt::router_handover, true);
  }
  if (o.kind == socket_kind::dealer) {
    s.set(zmq::sockopt::immediate, true);
    // Whoever came with the same one would take our place at the ROUTER, and our connection would stand there unread.
    if (!o.identity.empty())
      s.set(zmq::sockopt::routing_id, fmt::format("{}-{:016x}", o.identity, random_id()));
  }
  for (auto& topic : o.subscribe)
    s.set(zmq::sockopt::subscribe, topic);
}

} // namespace holdfast::bus
