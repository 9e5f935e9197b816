// What concerns more than one field of the sources: names, streams, addresses, register maps.

#include "common/config/limits.hpp"
#include "common/config/load.hpp"

#include <arpa/inet.h>

#include <array>
#include <map>

namespace holdfast::config::detail {

namespace {

// A batch is closed by the record that crosses its size: so much longer it can get, with its stream's name and times.
std::uint64_t largest_record(const source& s) {
  std::uint64_t bytes = kib(4).count;
  if (auto* t = std::get_if<tcp_server_source>(&s.kind))
    bytes = t->framing.max_length.count;
  if (auto* t = std::get_if<tcp_client_source>(&s.kind))
    bytes = t->framing.max_length.count;
  if (auto* t = std::get_if<serial_source>(&s.kind))
    bytes = t->framing.max_length.count;
  if (auto* t = std::get_if<udp_server_source>(&s.kind))
    bytes = t->max_datagram.count;
  return bytes + kib(4).count;
}

unsigned registers_of(const modbus_point& p) {
  switch (p.type) {
    case register_type::bit:
    case register_type::int16:
    case register_type::uint16: return 1;
    case register_type::int32:
    case register_type::uint32:
    case register_type::float32: return 2;
    case register_type::int64:
    case register_type::uint64:
    case register_type::float64: return 4;
    case register_type::string: return (p.length + 1) / 2;
  }
  return 1;
}

// Whoever listens looks its address up in the thread that serves all its sockets: a name whose server is silent would
// hold that up for longer than the watchdog waits, at each start.
bool is_own(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored;
  return host == "localhost" || ::inet_pton(AF_INET, host.c_str(), ignored.data()) == 1
         || ::inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), ignored.data()) == 1;
}

class source_checker {
public:
  source_checker(const gateway& value, const places& where, report& to) : value_(value), where_(where), to_(to) {}

  void run() {
    count();
    if (value_.collector)
      claim_listen("tcp", value_.collector->listen);
    claim_listen("tcp", value_.health.listen);
    for (const auto& s : value_.sources) {
      name_is_new_ = claim("source " + s.name, "source", at(&s.name));
      if (s.window.count < s.batch.size.count)
        to_.add(where_.contains(&s.window) ? at(&s.window) : at(&s.batch.size),
                "window is smaller than the batch size");
      if (largest_batch(s).count > value_.store.max_batch.count)
        to_.add(where_.contains(&s.batch.size) ? at(&s.batch.size) : at(&value_.store.max_batch),
                "batch size plus the longest record do not fit into the store's max_batch");
      std::visit([&](const auto& kind) { check(s, kind); }, s.kind);
    }
  }

private:
  void count() {
    const auto& all = value_.sources;
    if (all.size() > most_sources)
      to_.add(at(&all[most_sources].name), std::to_string(all.size()) + " sources: one gateway takes at most "
                                             + std::to_string(most_sources));
    std::size_t devices = 0;
    place beyond;
    for (const auto& s : all)
      if (const auto* bus = std::get_if<modbus_source>(&s.kind))
        for (const auto& d : bus->devices)
          if (++devices == most_devices + 1)
            beyond = at(&d.name);
    if (devices > most_devices)
      to_.add(beyond, std::to_string(devices) + " Modbus devices: one gateway takes at most "
                        + std::to_string(most_devices));
  }

  place at(const void* field) const {
    auto found = where_.find(field);
    return found == where_.end() ? place{} : found->second;
  }

  /// Every source, stream, device and address belongs to one; `key` is its kind, a blank, and the name.
  bool claim(const std::string& key, const std::string& what, place there) {
    const auto name = key.substr(key.find(' ') + 1);
    if (name.empty())
      return false; // reported as missing
    auto [first, is_new] = claims_.emplace(key, there);
    if (is_new)
      return true;
    const auto owner = first->second.line > 0 ? "on line " + std::to_string(first->second.line) : "by default";
    to_.add(there, "duplicate " + what + " " + quoted(name) + ", already used " + owner);
    return false;
  }

  void claim_listen(const std::string& protocol, const endpoint& listen) {
    if (listen.port == 0)
      return; // reported as missing or wrong
    if (!is_own(listen.host))
      return to_.add(at(&listen), "listen: expected an address of this machine or localhost, found "
                                    + quoted(listen.host) + "; a name would have to wait for name servers");
    claim(protocol + " " + listen.text(), "listen address", at(&listen));
  }

  void claim_stream(const source& s) {
    if (where_.contains(&s.stream) || name_is_new_) // a duplicate name makes a duplicate stream: one problem is enough
      claim("stream " + s.stream, "stream", where_.contains(&s.stream) ? at(&s.stream) : at(&s.name));
  }

  void check(const source& s, const tcp_server_source& kind) {
    claim_stream(s);
    claim_listen("tcp", kind.listen);
  }

  void check(const source& s, const tcp_client_source&) { claim_stream(s); }

  void check(const source& s, const udp_server_source& kind) {
    claim_stream(s);
    claim_listen("udp", kind.listen);
  }

  void check(const source& s, const serial_source& kind) {
    claim_stream(s);
    claim("serial " + kind.line.device, "serial device", at(&kind.line.device));
  }

  void check(const source& s, const simulator_source& kind) {
    for (const auto& signal : kind.signals)
      if (!signal.name.empty())
        claim("stream " + s.name + "/" + signal.name, "stream", at(&signal.name));
  }

  void check(const source&, const modbus_source& kind) {
    const auto* line = std::get_if<serial_line>(&kind.transport);
    if (line)
      claim("serial " + line->device, "serial device", at(&line->device));
    for (const auto& d : kind.devices) {
      claim("device " + d.name, "device", at(&d.name));
      if (line && (d.unit == 0 || d.unit > 247))
        to_.add(where_.contains(&d.unit) ? at(&d.unit) : at(&d), "unit: expected 1 to 247 on a serial line");
      for (const auto& p : d.points)
        check_point(d, p);
    }
  }

  void check_point(const modbus_device& d, const modbus_point& p) {
    if (!p.name.empty())
      claim("stream " + d.name + "/" + p.name, "stream", at(&p.name));
    check_type(p);
    if (p.address + registers_of(p) > 65536)
      to_.add(at(&p.address), "address: the value reaches beyond the last register, 65535");
  }

  void check_type(const modbus_point& p) {
    const auto there = where_.contains(&p.type) ? at(&p.type) : at(&p);
    const bool bits = p.table == register_table::coil || p.table == register_table::discrete;
    if (bits && p.type != register_type::bit)
      to_.add(there, "type: coil and discrete are always bit");
    if (bits && p.bit)
      to_.add(there, "bit: only for the tables holding and input");
    if (!bits && p.type == register_type::bit && !p.bit)
      to_.add(there, "type: bit of a register needs the key 'bit', 0 to 15");
    if (p.bit && p.type != register_type::bit && p.type != register_type::uint16)
      to_.add(there, "bit: only with the types bit and uint16");
    if ((p.type == register_type::string) != (p.length > 0))
      to_.add(there, p.length > 0 ? "length: only with type string" : "type: string needs the key 'length'");
  }

  const gateway& value_;
  const places& where_;
  report& to_;
  std::map<std::string, place> claims_;
  bool name_is_new_ = true; ///< of the source at hand
};

} // namespace

bytes largest_batch(const source& s) { return {s.batch.size.count + largest_record(s)}; }

void check_sources(const gateway& value, const places& where, report& to) { source_checker{value, where, to}.run(); }

} // namespace holdfast::config::detail
