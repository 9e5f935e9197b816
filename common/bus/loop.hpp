#pragma once

#include "common/core/blob.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::bus {

/// One multipart message. `peer` is the routing id of the other end of a ROUTER; other sockets leave it empty.
struct message {
  std::string peer;
  std::vector<blob> parts;
};

enum class socket_kind { router, dealer, xpub, sub, xsub };

/// What a socket is to be. All of it is set before bind or connect, as ZeroMQ asks.
struct socket_options {
  socket_kind kind = socket_kind::dealer;
  std::string name;                 ///< for the log
  std::string bind;                 ///< address, or
  std::vector<std::string> connect; ///< addresses
  std::string identity;             ///< how the routing id of a DEALER begins; the rest is random
  std::vector<std::string> subscribe;  ///< topics of a SUB
  int queue = 1000;                 ///< high-water mark in messages, each direction; 0: credit bounds it instead
  int send_queue = -1;              ///< another one for what is sent; -1: the same
  std::function<bool()> hold;       ///< while it says so the socket is not read, and its peers wait (loop's thread)
  std::size_t max_message = 0;      ///< bytes of one part; larger ones end the peer's connection; 0: 64 KiB
};

/// The one thread of a process that owns its ZeroMQ sockets. Handlers run in it and must not block: they parse a header
/// and pass a message to an actor. send() and post() may be called from any thread.
class loop {
public:
  using socket = std::size_t;
  using receive_handler = std::function<void(message&&)>;
  using peer_handler = std::function<void(bool connected)>;

  loop();
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  /// Before start(), or from a posted function. Throws std::runtime_error "failed to bind NAME: cause".
  socket open(socket_options options, receive_handler on_message, peer_handler on_peer = {});

  /// Another address for a socket that connects.
  void connect(socket s, std::string address);

  /// Queues a message for the socket. What the socket cannot take (nobody there, peer gone, queue full) is dropped and
  /// counted: on the data plane every message is covered by an acknowledgement, on the event bus loss is allowed.
  void send(socket s, message m);

  void post(std::function<void()> work);
  /// Runs in the loop's thread every period, first after one period.
  void every(std::chrono::milliseconds period, std::function<void()> work);

  void start();
  /// Sends what is queued, closes the sockets, joins the thread. Idempotent.
  void stop();

  std::uint64_t dropped() const noexcept;
  std::uint64_t handshake_failures() const noexcept;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace holdfast::bus
