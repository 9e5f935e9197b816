#pragma once

// The field side of the configuration: sources, and how what they send becomes records. Part of config.hpp.

#include "common/config/values.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::config {

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

} // namespace holdfast::config
