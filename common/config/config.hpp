#pragma once

// The whole configuration of a gateway (and of a collector) as typed structs. Every default is here and nowhere else.
// `load()` (load.hpp) fills them from the one YAML file; fields.cpp tells names, limits and documentation of each field
// once, for the reader and the JSON Schema alike.

#include "common/link/profile.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::config {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A number of bytes; written as 64KiB, 10GiB, 500MB or a plain number.
struct bytes {
  std::uint64_t count = 0;
  friend bool operator==(bytes, bytes) = default;
};

constexpr bytes kib(std::uint64_t n) { return {n << 10}; }
constexpr bytes mib(std::uint64_t n) { return {n << 20}; }
constexpr bytes gib(std::uint64_t n) { return {n << 30}; }

/// host:port; IPv6 hosts in brackets.
struct endpoint {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const endpoint&, const endpoint&) = default;
  std::string text() const;
};

// -- field side -------------------------------------------------------------------------------------------------------

enum class framing_kind { line, length_prefix, fixed, idle_gap };

/// How a byte stream is cut into records.
struct framing {
  framing_kind kind = framing_kind::line;
  bytes max_length = kib(64);       ///< longer frames are dropped and counted as a gap (idle_gap: the frame is cut here)
  unsigned prefix_bytes = 2;        ///< length_prefix: 1, 2 or 4
  bool prefix_big_endian = true;
  bool prefix_counts_itself = false;
  bytes length = {0};               ///< fixed
  milliseconds gap{100};            ///< idle_gap: a pause this long ends the frame (the DTU's frame gap)
};

/// When a batch is closed: at whichever comes first, or at once while nothing is on its way to the store.
struct batching {
  unsigned records = 4000;
  bytes size = kib(256);
  milliseconds linger{5};
};

enum class confirm_kind { none, count };

struct tcp_server_source {
  endpoint listen;
  config::framing framing;
  confirm_kind confirm = confirm_kind::none;
  unsigned max_connections = 64;
};

struct tcp_client_source {
  endpoint connect;
  config::framing framing;
  confirm_kind confirm = confirm_kind::none;
};

struct udp_server_source {
  endpoint listen;
  bytes max_datagram = kib(64);  ///< each datagram is one record
};

struct serial_line {
  std::string device;
  unsigned baud = 9600;
  unsigned data_bits = 8;
  char parity = 'N';  ///< N, E or O
  unsigned stop_bits = 1;
};

struct serial_source {
  serial_line line;
  config::framing framing{.kind = framing_kind::idle_gap};
};

enum class register_table { coil, discrete, holding, input };
enum class register_type { bit, int16, uint16, int32, uint32, int64, uint64, float32, float64, string };
enum class report_kind { always, on_change, interval };

/// One point of a device's register map.
struct modbus_point {
  std::string name;  ///< the stream is "<device>/<name>"
  register_table table = register_table::holding;
  std::uint16_t address = 0;  ///< zero-based, as on the wire
  register_type type = register_type::uint16;
  unsigned length = 0;          ///< string: bytes
  bool big_endian_bytes = true; ///< within a register
  bool big_endian_words = true; ///< across registers
  std::optional<unsigned> bit;  ///< one bit of a 16-bit register
  double scale = 1.0;           ///< value = raw * scale + offset
  double offset = 0.0;
  std::optional<milliseconds> period;  ///< default: the device's
  report_kind report = report_kind::always;
  double dead_band = 0.0;              ///< on_change: report when it moved by more than this
  milliseconds report_interval{60000}; ///< interval: the latest value this often; on_change: at least this often
};

struct modbus_device {
  std::string name;
  unsigned unit = 1;
  milliseconds period{1000};
  milliseconds timeout{500};
  unsigned breaker_failures = 3;           ///< so many failed requests in a row open the device's breaker ...
  milliseconds breaker_pause{5000};        ///< ... for this long; then one request tries again
  std::vector<modbus_point> points;
};

/// One bus: a TCP server (gateway or device) or a serial line. Requests on one bus never overlap.
struct modbus_source {
  std::variant<endpoint, serial_line> transport;
  std::vector<modbus_device> devices;
};

enum class waveform { sine, square, sawtooth, noise };

struct simulated_signal {
  std::string name;
  waveform shape = waveform::sine;
  double amplitude = 1.0;
  double offset = 0.0;
  double noise = 0.05;            ///< standard deviation
  milliseconds cycle{10000};
};

struct simulator_source {
  milliseconds period{100};
  std::vector<simulated_signal> signals;
};

struct source {
  std::string name;
  std::string record_class = "telemetry";
  std::string stream;             ///< transparent sources; default: the name
  batching batch;
  bytes window = mib(8);          ///< unacknowledged bytes kept for the store; above it reading stops or policy drops
  std::variant<tcp_server_source, tcp_client_source, udp_server_source, serial_source, modbus_source, simulator_source>
    kind;
  int line = 0;                   ///< in the YAML file, for messages
};

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
  bytes quota = gib(100);            ///< full: acknowledges no more, gateways hold on
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
