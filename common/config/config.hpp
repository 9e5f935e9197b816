#pragma once

// The whole configuration of a gateway (and of a collector) as typed structs. Every default is here, or in
// field_side.hpp for sources, and nowhere else. `load()` (load.hpp) fills them from the one YAML file; fields.cpp tells
// names, limits and documentation of each field once, for the reader and the JSON Schema alike.

#include "common/config/field_side.hpp"
#include "common/link/profile.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::config {

// -- store and links --------------------------------------------------------------------------------------------------

/// What a class does at its limit or the store's.
enum class overflow_rule {
  reject,       ///< its producers wait
  drop_oldest,  ///< its oldest records give way to new ones
  thin          ///< from the oldest on every second stretch gives way
};

/// A delivery policy.
struct record_class {
  std::string name;
  unsigned priority = 100;        ///< lower goes first
  std::vector<std::string> links; ///< that may carry it; empty: all that lead to the destination
  bool duplicate = false;         ///< over two links at once
  bool latency_sensitive = false; ///< avoids links above their latency_limit
  holdfast::link::budget_rule when_spent = holdfast::link::budget_rule::leave_reserve;
  overflow_rule overflow = overflow_rule::reject;
  bytes quota{0};                 ///< of the store's quota at most; 0: no limit of its own
  milliseconds ttl{0};            ///< so long stored and not delivered, records give way; 0: never
  milliseconds durability_window{0};      ///< offers may wait so long for others before their commit
  std::optional<unsigned> backlog_share;  ///< default: the store's
};

struct store {
  std::string directory = "/var/lib/holdfast/store";
  bytes quota = gib(10);
  bytes max_batch = mib(4);
  bytes producer_window = mib(8);
  bytes live_cache = mib(32);     ///< newly stored batches kept in memory so that live traffic is not read back
  unsigned backlog_share = 20;    ///< percent of a link kept for the backlog while live records flow
};

struct destination {
  std::string name;
  std::vector<std::string> classes;  ///< empty: all
};

struct tls {
  bool enabled = false;
  std::string ca_file;
  std::string certificate_file;   ///< mutual authentication where given
  std::string key_file;
  std::string server_name;        ///< checked against the peer's certificate; default: the endpoint's host
};

struct keepalive {
  seconds idle{10};
  seconds interval{5};
  unsigned count = 3;
};

struct reconnect {
  milliseconds quick{50};         ///< after a session that stood: so long between the first attempts
  unsigned quick_attempts = 6;
  milliseconds first{1000};       ///< then full-jitter exponential backoff from here ...
  milliseconds cap{30000};        ///< ... doubling up to here
  milliseconds stable{60000};     ///< a session this old resets the backoff
  unsigned unavailable_after = 10; ///< attempts in a row; the link is then "unavailable" and goes on trying at the cap
};

struct link {
  std::string name;
  std::string destination;
  std::string transport = "tcp";
  endpoint connect;
  config::tls tls;
  milliseconds heartbeat_interval{5000};
  milliseconds heartbeat_timeout{10000};
  milliseconds connect_timeout{10000};
  config::keepalive keepalive;
  milliseconds user_timeout{20000};  ///< TCP_USER_TIMEOUT
  bytes window = mib(8);             ///< in flight on this link
  config::reconnect reconnect;
  std::string profile = "fibre";     ///< what the defaults of `tuning` are
  holdfast::link::profile tuning = holdfast::link::fibre();
  unsigned priority = 100;           ///< lower first
  double cost = 0;                   ///< decides between links of one priority
  std::vector<std::string> classes;  ///< that it may carry; empty: all
  milliseconds latency_limit{0};     ///< above it no place for classes that mind; 0: none
  bool on_demand = false;            ///< connected only to carry, to stand by, or to take over
  std::string interface;             ///< SO_BINDTODEVICE; empty: as the routes say
  std::string source_address;        ///< empty: as the routes say
  bytes bandwidth{0};                ///< bytes per second at most; 0: no cap
  bytes budget_day{0};               ///< bytes on the wire; 0: none
  bytes budget_month{0};
};

// -- supervision and operation ----------------------------------------------------------------------------------------

struct health {
  endpoint listen{"127.0.0.1", 9464};
  milliseconds interval{5000};       ///< resource samples
  std::uint64_t tap_queue = 10000;   ///< messages kept for a slow tap before it loses its own
};

enum class restart_strategy { one_for_one, rest_for_one };

struct watchdog {
  std::vector<std::string> services;  ///< start order; empty: store, uplink-<link> each, acquisition, health
  restart_strategy strategy = restart_strategy::one_for_one;
  milliseconds limit{2000};           ///< no progress for this long: hung
  milliseconds start_limit{10000};    ///< until the first heartbeat
  milliseconds abort_grace{300};      ///< between SIGABRT and SIGKILL
  milliseconds stop_grace{10000};     ///< between SIGTERM and SIGKILL
  milliseconds backoff_first{100};    ///< second restart in a row; the first is at once
  milliseconds backoff_cap{30000};
  milliseconds stable{60000};         ///< a life this long resets the backoff
  unsigned intensity = 10;            ///< more restarts than this ...
  milliseconds period{60000};         ///< ... within this: quarantine
  milliseconds quarantine{60000};     ///< one start per this long, and an alarm
  std::string device = "/dev/watchdog";  ///< fed while the watchdog's loop turns, where present and asked for
  bool feed_device = false;
};

struct collector {
  endpoint listen{"127.0.0.1", 7410};
  config::tls tls;                   ///< ca_file given: clients must show a certificate
  std::string directory = "/var/lib/holdfast/collector";
  bytes quota = gib(100);            ///< full: refuses sessions, gateways hold on
  bytes max_frame = mib(8);
  unsigned max_connections = 1000;
  milliseconds idle_timeout{60000};  ///< a session this silent is closed
  std::string name = "collector";
};

struct log {
  std::string level = "info";
};

struct gateway {
  std::string name = "gateway";
  std::string run_directory = "/run/holdfast";
  config::log log;
  std::vector<record_class> classes;  ///< default: critical 10, telemetry 100, bulk 200
  std::vector<source> sources;
  config::store store;
  std::vector<destination> destinations;
  std::vector<link> links;
  config::health health;
  config::watchdog watchdog;
  std::optional<config::collector> collector;
  std::string path;                   ///< file it came from
};

} // namespace holdfast::config
