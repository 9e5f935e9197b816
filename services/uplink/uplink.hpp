#pragma once

// An uplink: one session with one destination over one link. Read this first, then
//   reconnect.hpp      when to try again                          (core)
//   heartbeat.hpp      whether the other end still answers        (core)
//   link_watch.hpp     what the link is like, and its breaker     (core)
//   order.hpp          whether the store wants a session          (core)
//   patron.hpp         which store welcomed us                    (core)
//   outbox.hpp         what goes first                            (core)
//   connection.hpp     the byte stream (Asio)
//   knock.hpp          whether a way that went silent is back (Asio)
//   session_actor.cpp  SESSION: store on one side, destination on the other
//
// It keeps nothing: batches on their way belong to the store until the destination has confirmed them.

#include "common/actor/slot.hpp"
#include "common/link/profile.hpp"
#include "common/net/address_cache.hpp"
#include "common/net/io_loop.hpp"
#include "common/net/kernel_watch.hpp"
#include "common/service/runtime.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <memory>
#include <string>

namespace holdfast::v1 {
class RouteMessage;
class WireMessage;
}

namespace holdfast::uplink {

// -- to SESSION -------------------------------------------------------------------------------------------------------
// What comes from a connection carries the number of its attempt: what an older one says no longer counts.

/// From the store.
struct from_store { std::shared_ptr<const v1::RouteMessage> message; blob payload; };
/// The bus connection to the store came or went.
struct store_there { bool yes; };
struct opened { std::uint64_t attempt; std::string peer; };
struct from_peer { std::uint64_t attempt; std::shared_ptr<const v1::WireMessage> message; };
/// `answered`: the other end's TCP said something in this attempt, be it no.
struct ended { std::uint64_t attempt; std::string why; bool answered; };
struct connect_due { std::uint64_t attempt; };
struct hello_due {};
/// The way to the destination is open again.
struct knocked {};
/// The monitor has something to judge.
struct watch_due { link::time_point at; };
struct kernel_said { net::kernel_view::verdict verdict; };

struct context {
  service::runtime& rt;
  config::link link;
  bus::loop::socket store = 0;
  std::atomic<bool> store_reachable{false};  // the bus may know before SESSION is there
  actor::slot session;
  /// Of the destination's name; for the io loop only.
  std::shared_ptr<net::address_cache> addresses = std::make_shared<net::address_cache>();
};

caf::actor spawn_session(caf::actor_system& system, std::shared_ptr<context> ctx);

} // namespace holdfast::uplink

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::from_store)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::store_there)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::opened)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::from_peer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::connect_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::hello_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::knocked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::watch_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::uplink::kernel_said)
