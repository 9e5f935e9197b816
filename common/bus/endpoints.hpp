#pragma once

#include <array>
#include <string>
#include <string_view>

namespace holdfast::bus {

/// One row for each endpoint of the bus. The code, `holdfastctl endpoints` and services/README.md all show this table.
struct endpoint_info {
  std::string_view name;      ///< with <instance>: one per running service
  std::string_view socket;    ///< type of the binding socket
  std::string_view binds;
  std::string_view connects;  ///< who, and with which socket
  std::string_view flows;
};

inline constexpr std::array<endpoint_info, 5> endpoint_table{{
  {"store.ingest", "ROUTER", "store", "acquisition and any producer of your own (DEALER)",
   "ProducerMessage + batch in, StoreMessage out; durable before acknowledged"},
  {"store.dispatch", "ROUTER", "store", "uplinks (DEALER)", "LinkMessage in, RouteMessage + batch out; one lease per batch"},
  {"events.<instance>", "XPUB", "each service", "health, watchdog (SUB)",
   "topic | Envelope | payload; numbered, may be lost, never waited for"},
  {"control.<instance>", "ROUTER", "each service", "holdfastctl, health checks (DEALER)",
   "ControlRequest in, ControlReply out, with deadlines"},
  {"tap", "XPUB", "health", "operators (SUB)", "everything of events.*, read-only; a slow tap loses its own messages"},
}};

/// Longest path of a Unix socket: sockaddr_un holds 108 bytes with the zero at its end.
inline constexpr std::size_t max_path = 107;

/// Name of the socket file of an endpoint; where it is one per running service, of this instance's.
std::string file_name(const endpoint_info& endpoint, std::string_view instance);

/// Address of an endpoint: a Unix socket file in the run directory.
std::string address(std::string_view run_directory, std::string_view name);

} // namespace holdfast::bus
