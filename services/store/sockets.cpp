// The bus side: headers are parsed here, in the bus thread; everything else happens in the actors.

#include "services/store/store.hpp"

#include "common/telemetry/log.hpp"
#include "common/telemetry/sparse.hpp"
#include "holdfast/v1/dispatch.pb.h"
#include "holdfast/v1/ingest.pb.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>

namespace holdfast::store {

namespace {

constexpr std::size_t header_room = 64 * 1024;
// Messages of one peer that ZeroMQ reads ahead; then that peer waits.
constexpr int read_ahead = 64;
// Answers kept for one peer that does not read: more than any window has batches of the smallest kind, so that only
// those of strangers are ever dropped.
constexpr std::uint64_t least_answers = 100'000;
constexpr std::uint64_t least_batch = 64;

int most_answers(std::uint64_t window) {
  return static_cast<int>(std::min<std::uint64_t>(std::max(least_answers, window / least_batch), 10'000'000));
}

std::function<bool()> hold_while_full(context& ctx, waiting_room& room, const std::string& endpoint) {
  auto& pauses = ctx.rt.metrics().counter("holdfast_store_pauses_total",
                                          "Times a bus socket was not read because too much waited for its actor",
                                          {{"endpoint", endpoint}});
  return [&room, &pauses, endpoint, paused = false, lines = log::sparse(1)]() mutable {
    const bool full = room.full();
    if (full && !paused) {
      pauses.add();
      if (const auto times = lines.due(); times > 0)
        log::warn("reading paused endpoint={} waiting_bytes={} times={}", endpoint, room.used(), times);
    }
    paused = full;
    return full;
  };
}

void malformed(context& ctx, const char* endpoint, const std::string& peer, const std::string& why) {
  static std::map<std::string, log::sparse> lines;  // the noise on one socket hides no other's
  ctx.rt.metrics().counter("holdfast_store_malformed_total", "Messages nobody could understand",
                           {{"endpoint", endpoint}}).add();
  if (const auto times = lines[endpoint].due(); times > 0)
    log::warn("malformed message endpoint={} peer={} cause=\"{}\" times={}", endpoint, peer, why, times);
}

void refuse(context& ctx, const std::string& peer, const std::string& why) {
  malformed(ctx, "store.ingest", peer, why);
  v1::StoreMessage m;
  auto& r = *m.mutable_refusal();
  r.set_reason(v1::ProducerRefusal::REASON_MALFORMED);
  r.set_detail(why);
  ctx.rt.bus().send(ctx.ingest, {peer, {blob(m.SerializeAsString())}});
}

void on_ingest(context& ctx, bus::message&& m) {
  v1::ProducerMessage p;
  if (m.parts.empty() || !p.ParseFromArray(m.parts[0].data(), static_cast<int>(m.parts[0].size())))
    return refuse(ctx, m.peer, "not a holdfast.v1.ProducerMessage");
  if (p.has_hello()) {
    if (p.hello().producer().empty() || p.hello().producer().size() > 200 || p.hello().session() == 0)
      return refuse(ctx, m.peer, "a hello needs a producer of 1 to 200 bytes and a session");
    return ctx.writer.send(hello{m.peer, p.hello().producer(), p.hello().session(), p.hello().record_class(),
                                 ctx.for_writer.take(0)});
  }
  if (p.has_offer() && m.parts.size() == 2) {
    auto& o = p.offer();
    auto seat = ctx.for_writer.take(m.parts[1].size());
    return ctx.writer.send(offer{m.peer, o.producer(), o.session(), o.producer_seq(), o.record_count(), o.crc32c(),
                                 o.position(), std::move(m.parts[1]), std::move(seat)});
  }
  refuse(ctx, m.peer, "neither a hello nor an offer with its payload");
}

void on_dispatch(context& ctx, bus::message&& m) {
  auto l = std::make_shared<v1::LinkMessage>();
  if (m.parts.size() != 1 || !l->ParseFromArray(m.parts[0].data(), static_cast<int>(m.parts[0].size()))
      || l->message_case() == v1::LinkMessage::MESSAGE_NOT_SET)
    return malformed(ctx, "store.dispatch", m.peer, "not a holdfast.v1.LinkMessage");
  auto seat = ctx.for_dispatcher.take(m.parts[0].size());
  ctx.dispatcher.send(from_link{m.peer, std::move(l), std::move(seat)});
}

} // namespace

void open_sockets(const std::shared_ptr<context>& ctx) {
  auto& rt = ctx->rt;
  const auto max = rt.config().store.max_batch.count + header_room;
  std::uint64_t widest = 0;
  for (auto& l : rt.config().links)
    widest = std::max(widest, l.window.count);
  ctx->ingest = rt.bus().open({.kind = bus::socket_kind::router, .name = "store.ingest",
                               .bind = rt.address("store.ingest"), .queue = read_ahead,
                               .send_queue = most_answers(rt.config().store.producer_window.count),
                               .hold = hold_while_full(*ctx, ctx->for_writer, "store.ingest"), .max_message = max},
                              [c = ctx.get()](bus::message&& m) { on_ingest(*c, std::move(m)); });
  ctx->dispatch = rt.bus().open({.kind = bus::socket_kind::router, .name = "store.dispatch",
                                 .bind = rt.address("store.dispatch"), .queue = read_ahead,
                                 .send_queue = most_answers(widest),
                                 .hold = hold_while_full(*ctx, ctx->for_dispatcher, "store.dispatch"),
                                 .max_message = 4 << 20},
                                [c = ctx.get()](bus::message&& m) { on_dispatch(*c, std::move(m)); });
}

} // namespace holdfast::store
