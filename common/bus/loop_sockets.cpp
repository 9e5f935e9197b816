// What the loop reads from its sockets and writes to them.

#include "common/bus/loop_impl.hpp"
#include "common/telemetry/log.hpp"

#include <cstring>

namespace holdfast::bus {

namespace {
// Messages taken from one socket before the others get their turn.
constexpr int burst = 64;
} // namespace

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
