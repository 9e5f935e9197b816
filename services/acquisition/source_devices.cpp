// SOURCE, the devices' side: connections, frames, records, batches.

#include "services/acquisition/source_state.hpp"

#include "common/core/crc32c.hpp"
#include "common/telemetry/log.hpp"

namespace holdfast::acquisition {

using clock = producer::clock;

const config::framing* framing_of(const config::source& s) {
  if (auto* t = std::get_if<config::tcp_server_source>(&s.kind))
    return &t->framing;
  if (auto* t = std::get_if<config::tcp_client_source>(&s.kind))
    return &t->framing;
  if (auto* t = std::get_if<config::serial_source>(&s.kind))
    return &t->framing;
  return nullptr;
}

// -- devices ----------------------------------------------------------------------------------------------------------

void source_state::on_connected(const connected& c) {
  if (stopping)
    return c.with->close("source stops");
  // The device has its count from the new connection on: what the old one still brings is not in it and would come
  // twice.
  if (confirms)
    devices.clear();
  devices.emplace(c.with.get(), device{c.with, framer(*framing_of(settings))});
  count->connections->set(static_cast<double>(devices.size()));
  log::info("device connected source={} peer={}", settings.name, c.with->peer());
  if (!confirms)
    return c.with->resume();
  // Where we stand is only known when all of the device's earlier connection is on disk.
  close_batch();
  confirm();
}

void source_state::on_received(const received& r) {
  auto d = devices.find(r.from.get());
  if (d == devices.end())
    return;
  if (!d->second.cut.feed(r.bytes.view(), sink(r.at, r.from->peer())))
    r.from->close("a length above the limit");
  after_records();
  if (!can_wait || store->room())
    return r.from->resume();
  d->second.held = true;
}

void source_state::on_idle(const went_idle& w) {
  if (auto d = devices.find(w.from.get()); d != devices.end()) {
    d->second.cut.idle(sink(w.at, w.from->peer()));
    after_records();
  }
}

void source_state::on_disconnected(const disconnected& d) {
  auto it = devices.find(d.from.get());
  if (it == devices.end())
    return;
  const auto at = now();
  if (framing_of(settings)->kind == config::framing_kind::idle_gap)
    it->second.cut.idle(sink(at, d.from->peer()));
  else if (it->second.cut.pending() > 0)
    count->incomplete->add();
  devices.erase(it);
  count->connections->set(static_cast<double>(devices.size()));
  log::info("device left source={} peer={} cause=\"{}\"", settings.name, d.from->peer(), d.why);
  after_records();
}

void source_state::on_datagram(const datagram& d) {
  const auto limit = std::get<config::udp_server_source>(settings.kind).max_datagram.count;
  if (d.bytes.size() > limit)
    take_oversize(d.at, d.bytes.size(), d.peer);
  else
    take_frame(d.at, d.bytes.view());
  after_records();
}

void source_state::on_sampled(const sampled& s) {
  for (auto& one : s.samples) {
    if (records->needs_new_batch(one.time))
      close_batch();
    records->value(one, room());
  }
  after_records();
}

// -- records ----------------------------------------------------------------------------------------------------------

framer::sink source_state::sink(const timestamp& at, const std::string& peer) {
  return {.frame = [this, at](std::string_view bytes) { take_frame(at, bytes); },
          .oversize = [this, at, peer](std::size_t bytes) { take_oversize(at, bytes, peer); }};
}

// What can be held back always finds room: it is not read while there is none.
bool source_state::room() const { return can_wait || store->room(); }

void source_state::take_frame(const timestamp& at, std::string_view bytes) {
  if (records->needs_new_batch(at))
    close_batch();
  records->frame(at, bytes, room());
  if (records->full())
    close_batch();
}

void source_state::take_oversize(const timestamp& at, std::size_t bytes, const std::string& peer) {
  if (const auto times = oversize_lines.due(); times > 0)
    log::warn("frame dropped source={} peer={} cause=\"{} bytes are above the limit\" times={}", settings.name, peer,
              bytes, times);
  if (records->needs_new_batch(at))
    close_batch();
  records->oversize(at, room());
  if (records->full())
    close_batch();
}

// What was dropped is told as soon as there is room, also where no further record comes.
void source_state::tell_gaps() {
  if (!records->owes_gaps() || !store->room())
    return;
  const auto at = now();
  if (records->needs_new_batch(at))
    close_batch();
  records->tell_gaps(at);
  after_records();
}

// A batch leaves at once while nothing is on its way: then the store's own commit is what batches wait for, and they
// grow with the load.
void source_state::after_records() {
  if (records->empty())
    return;
  if (store->settled() || records->full())
    return close_batch();
  if (!lingering) {
    lingering = true;
    self->delayed_send(self, settings.batch.linger, linger_due{batch_number});
  }
}

void source_state::close_batch() {
  if (records->empty())
    return;
  ++batch_number;
  lingering = false;
  auto b = records->take();
  const auto crc = crc32c(b.payload);
  carry_out(store->push(b.records, crc, blob(std::move(b.payload)), clock::now()));
}

} // namespace holdfast::acquisition
