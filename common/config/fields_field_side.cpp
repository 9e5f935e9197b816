// The field side: sources, their framing and batching, Modbus maps, simulated signals.

#include "common/config/fields.hpp"

#include <array>

namespace holdfast::config {

using namespace std::chrono_literals;

namespace {

constexpr std::array<word, 2> byte_order_words{{{"big", 1}, {"little", 0}}};
constexpr std::array<word, 3> prefix_words{{{"1", 1}, {"2", 2}, {"4", 4}}};
constexpr std::array<word, 6> parity_words{
  {{"none", 'N'}, {"even", 'E'}, {"odd", 'O'}, {"N", 'N'}, {"E", 'E'}, {"O", 'O'}}};

const rule frame_limits = between(bytes{1}, mib(1));

std::string_view spelling(framing_kind kind) {
  for (const auto& row : words(kind))
    if (row.value == static_cast<int>(kind))
      return row.text;
  return {};
}

void longest_frame(visitor& v, framing& f) {
  v.optional("max_length", f.max_length, "Longest frame; a longer one is dropped and counted as a gap.", frame_limits);
}

void length_prefix_fields(visitor& v, framing& f) {
  f.kind = framing_kind::length_prefix;
  v.optional_word("prefix_bytes", f.prefix_bytes, prefix_words, "Size of the length in front of each frame.");
  v.optional_word("prefix_order", f.prefix_big_endian, byte_order_words, "Byte order of the length.");
  v.optional("prefix_counts_itself", f.prefix_counts_itself, "The length includes its own bytes.");
  longest_frame(v, f);
}

void idle_gap_fields(visitor& v, framing& f) {
  f.kind = framing_kind::idle_gap;
  v.optional("gap", f.gap, "Frame gap: a pause this long ends the frame.", between(1ms, 1min));
  v.optional("max_length", f.max_length, "Frame length: a frame is cut here without a pause.", frame_limits);
}

/// What all transparent sources (bytes in, records out) have.
void transparent_fields(visitor& v, source& s) {
  v.optional("stream", s.stream, "Stream of the records; default: the source's name.", text_of(text_rule::stream));
}

void confirm_field(visitor& v, confirm_kind& confirm) {
  v.optional("confirm", confirm,
             "count: after each commit the device gets, as a line, how many of its records are safe in the store.");
}

void tcp_server_fields(visitor& v, source& s) {
  auto& kind = s.kind.emplace<tcp_server_source>();
  transparent_fields(v, s);
  v.required("listen", kind.listen, "Address that devices connect to.");
  v.optional("framing", kind.framing, "How the byte stream is cut into records.");
  confirm_field(v, kind.confirm);
  v.optional("max_connections", kind.max_connections, "Connections at a time; more are refused.", between(1, 10000));
}

void tcp_client_fields(visitor& v, source& s) {
  auto& kind = s.kind.emplace<tcp_client_source>();
  transparent_fields(v, s);
  v.required("connect", kind.connect, "Address of the device.");
  v.optional("framing", kind.framing, "How the byte stream is cut into records.");
  confirm_field(v, kind.confirm);
}

void udp_server_fields(visitor& v, source& s) {
  auto& kind = s.kind.emplace<udp_server_source>();
  transparent_fields(v, s);
  v.required("listen", kind.listen, "Address that devices send to; each datagram is one record.");
  v.optional("max_datagram", kind.max_datagram, "Longest datagram; a longer one is dropped and counted as a gap.",
             between(bytes{1}, kib(64)));
}

void serial_fields(visitor& v, source& s) {
  auto& kind = s.kind.emplace<serial_source>();
  transparent_fields(v, s);
  fields(v, kind.line);
  v.optional("framing", kind.framing, "How the byte stream is cut into records.");
}

void devices_field(visitor& v, modbus_source& m) {
  v.required("devices", m.devices, "Devices on this bus; they are asked one after the other.", at_least(1));
}

void modbus_tcp_fields(visitor& v, source& s) {
  auto& kind = s.kind.emplace<modbus_source>();
  v.required("connect", kind.transport.emplace<endpoint>(), "Address of the device or of the bus gateway.");
  devices_field(v, kind);
}

void modbus_rtu_fields(visitor& v, source& s) {
  auto& kind = s.kind.emplace<modbus_source>();
  fields(v, kind.transport.emplace<serial_line>());
  devices_field(v, kind);
}

void simulator_fields(visitor& v, source& s) {
  auto& kind = s.kind.emplace<simulator_source>();
  v.optional("period", kind.period, "Time between two values of a signal.", between(1ms, 1h));
  v.required("signals", kind.signals, "Signals to make up; the stream is SOURCE/SIGNAL.", at_least(1));
}

} // namespace

void fields(visitor& v, framing& f) {
  // A serial line starts as idle-gap, everything else as line: the standard is what the struct came with.
  v.choose("type", "Where a frame ends.", spelling(f.kind),
           {{"line", "At a line feed, which is not part of it; a carriage return before it is.",
             [&f](visitor& w) {
               f.kind = framing_kind::line;
               longest_frame(w, f);
             }},
            {"length-prefix", "After as many bytes as the number in front says.",
             [&f](visitor& w) { length_prefix_fields(w, f); }},
            {"fixed", "After a fixed number of bytes.",
             [&f](visitor& w) {
               f.kind = framing_kind::fixed;
               // Within max_length, which the framing core enforces for every kind.
               w.required("length", f.length, "Bytes of each frame.", between(bytes{1}, kib(64)));
             }},
            {"idle-gap", "After a pause.", [&f](visitor& w) { idle_gap_fields(w, f); }}});
}

void fields(visitor& v, batching& b) {
  v.optional("records", b.records, "Most records in a batch.", between(1, 100000));
  v.optional("size", b.size, "Most bytes in a batch.", between(kib(1), mib(16)));
  v.optional("linger", b.linger, "Longest wait for a batch to fill.", between(0ms, 1min));
}

void fields(visitor& v, serial_line& l) {
  v.required("device", l.device, "Serial port, e.g. /dev/ttyS0 or /dev/serial/by-id/...", text_of(text_rule::filled));
  v.optional("baud", l.baud, "Bits per second.", between(50, 4000000));
  v.optional("data_bits", l.data_bits, "Data bits of a character.", between(5, 8));
  v.optional_word("parity", l.parity, parity_words, "Parity of a character.");
  v.optional("stop_bits", l.stop_bits, "Stop bits of a character.", between(1, 2));
}

void fields(visitor& v, modbus_point& p) {
  v.required("name", p.name, "The stream is DEVICE/NAME.", text_of(text_rule::stream));
  v.optional("table", p.table, "Register table of the device.");
  v.required("address", p.address, "First register, zero-based as on the wire (40001 in a manual is holding 0).",
             between(0, 65535));
  if (p.table == register_table::coil || p.table == register_table::discrete)
    p.type = register_type::bit; // there is nothing else in these tables
  v.optional("type", p.type, "Type of the value; coil and discrete are always bit.");
  v.optional("length", p.length, "Bytes of a string.", between(0, 250));
  v.optional_word("byte_order", p.big_endian_bytes, byte_order_words, "Order of the bytes within a register.");
  v.optional_word("word_order", p.big_endian_words, byte_order_words, "Order of the registers of a longer value.");
  v.optional("bit", p.bit, "One bit of a 16-bit register, 0 is the lowest.", between(0, 15));
  v.optional("scale", p.scale, "value = raw * scale + offset.");
  v.optional("offset", p.offset, "value = raw * scale + offset.");
  v.optional("period", p.period, "Time between two reads; default: the device's.", between(10ms, 24h));
  v.optional("report", p.report,
             "always: every value; on-change: when it moved; interval: the latest, every report_interval.");
  v.optional("dead_band", p.dead_band, "on-change: report when the value moved by more than this.", at_least(0));
  v.optional("report_interval", p.report_interval,
             "interval: report the latest value this often; on-change: at least this often.", between(10ms, 24h * 7));
}

void fields(visitor& v, modbus_device& d) {
  v.required("name", d.name, "First part of the streams of its points.", text_of(text_rule::stream));
  v.optional("unit", d.unit, "Unit (slave) number.", between(0, 255));
  v.optional("period", d.period, "Time between two reads.", between(10ms, 24h));
  v.optional("timeout", d.timeout, "Wait for an answer.", between(10ms, 60s));
  v.optional("breaker_failures", d.breaker_failures, "Failed requests in a row until the device is left alone ...",
             between(1, 1000));
  v.optional("breaker_pause", d.breaker_pause, "... for this long; then one request tries again.", between(100ms, 1h));
  v.required("points", d.points, "Values to read.", at_least(1));
}

void fields(visitor& v, simulated_signal& s) {
  v.required("name", s.name, "The stream is SOURCE/NAME.", text_of(text_rule::stream));
  v.optional("shape", s.shape, "Waveform.");
  v.optional("amplitude", s.amplitude, "Largest distance from the offset.", at_least(0));
  v.optional("offset", s.offset, "Middle of the waveform.");
  v.optional("noise", s.noise, "Standard deviation of the noise on top.", at_least(0));
  v.optional("cycle", s.cycle, "Length of one wave.", between(1ms, 24h));
}

void fields(visitor& v, source& s) {
  v.required("name", s.name, "Name of the source in states, metrics and logs.", text_of(text_rule::name));
  v.optional("class", s.record_class, "Record class, i.e. the delivery policy.", text_of(text_rule::name));
  v.optional("batch", s.batch, "When a batch is closed: at whichever limit comes first.");
  v.optional("window", s.window, "Bytes waiting for the store's acknowledgement; above it reading stops.",
             between(kib(16), gib(1)));
  v.choose("type", "Where the records come from.", "",
           {{"tcp-server", "Devices connect to us.", [&s](visitor& w) { tcp_server_fields(w, s); }},
            {"tcp-client", "We connect to the device.", [&s](visitor& w) { tcp_client_fields(w, s); }},
            {"udp-server", "Devices send datagrams.", [&s](visitor& w) { udp_server_fields(w, s); }},
            {"serial", "A serial line, transparent.", [&s](visitor& w) { serial_fields(w, s); }},
            {"modbus-tcp", "Modbus over TCP.", [&s](visitor& w) { modbus_tcp_fields(w, s); }},
            {"modbus-rtu", "Modbus on a serial line.", [&s](visitor& w) { modbus_rtu_fields(w, s); }},
            {"simulator", "Made-up signals, for trials.", [&s](visitor& w) { simulator_fields(w, s); }}});
}

} // namespace holdfast::config
