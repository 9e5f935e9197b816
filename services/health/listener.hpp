#pragma once

#include "common/bus/loop.hpp"
#include "services/health/fleet.hpp"
#include "services/health/inbox.hpp"

#include <memory>
#include <string>
#include <vector>

namespace holdfast::health {

/// The bus thread's side: hears all services' events and asks for their status. One socket for all publishers: every
/// polled socket costs system calls at each turn of the bus thread, and inside a socket ZeroMQ keeps a queue and a
/// message limit for each peer anyway.
///
/// Addresses are connected when their socket file appears: ZeroMQ would try absent ones several times a second for ever.
/// After that it reconnects by itself.
class listener {
public:
  /// Of one message. Acquisition's figures and status for config::most_sources and most_devices take 4 and 6 MB with
  /// the longest names.
  static constexpr std::size_t max_message = 8 << 20;

  /// Before the loop's start. `tap`: the socket that also wants every publisher, this process included.
  listener(bus::loop& loop, std::string run_directory, std::vector<fleet::member> members, bus::loop::socket tap,
           const std::shared_ptr<inbox>& box);

  /// Connects what has appeared. Before the loop's start or in its thread.
  void look();
  /// Asks every service for its status; the answers come through the inbox, or never. Any thread.
  static void ask(const std::shared_ptr<listener>& l);

private:
  bool exists(const std::string& endpoint) const;
  void connect(const fleet::member& m);
  void send_requests();

  bus::loop& loop_;
  std::string run_directory_;
  std::vector<fleet::member> absent_;
  bus::loop::socket tap_;
  bus::loop::socket events_ = 0;
  bus::loop::socket controls_ = 0;
  std::size_t connected_ = 0;  // control endpoints
  std::uint64_t requests_ = 0;
};

} // namespace holdfast::health
