#pragma once

// ZeroMQ's own types, for the sources of this folder only.

#include "common/bus/loop.hpp"

#include <zmq.hpp>

namespace holdfast::bus {

zmq::socket_type native(socket_kind kind);
/// Every option that must be set before bind or connect.
void configure(zmq::socket_t& s, const socket_options& o);
/// Tells who completed or failed the handshake with `of`, and who left.
zmq::socket_t make_monitor(zmq::context_t& context, zmq::socket_t& of, std::size_t number);
/// Large parts are shared with ZeroMQ, not copied.
zmq::message_t to_frame(const blob& part);
blob to_blob(zmq::message_t&& frame);

} // namespace holdfast::bus
