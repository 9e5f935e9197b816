// The bus side: headers are parsed here, in the bus thread; everything else happens in the actors.

#include "services/store/store.hpp"

#include "common/telemetry/log.hpp"
#include "holdfast/v1/dispatch.pb.h"
#include "holdfast/v1/ingest.pb.h"

namespace holdfast::store {

namespace {

constexpr std::size_t header_room = 64 * 1024;
constexpr std::uint64_t max_queued_bytes = 256 << 20;

void refuse(context& ctx, const std::string& peer, const std::string& why) {
  static auto& refused = ctx.rt.metrics().counter("holdfast_store_malformed_total", "Messages nobody could understand");
  refused.add();
  log::warn("malformed message endpoint=store.ingest peer={} cause=\"{}\"", peer, why);
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
    return ctx.writer.send(hello{m.peer, p.hello().producer(), p.hello().session(), p.hello().record_class()});
  }
  if (p.has_offer() && m.parts.size() == 2) {
    // Producers keep to their windows; whoever does not is dropped here, unacknowledged, before memory runs out.
    static auto& flooded = ctx.rt.metrics().counter("holdfast_store_flooded_total", "Offers dropped: too many bytes wait");
    if (ctx.queued_bytes + m.parts[1].size() > max_queued_bytes)
      return flooded.add();
    ctx.queued_bytes += m.parts[1].size();
    auto& o = p.offer();
    return ctx.writer.send(offer{m.peer, o.producer(), o.session(), o.producer_seq(), o.record_count(), o.crc32c(),
                                 o.position(), std::move(m.parts[1])});
  }
  refuse(ctx, m.peer, "neither a hello nor an offer with its payload");
}

void on_dispatch(context& ctx, bus::message&& m) {
  auto l = std::make_shared<v1::LinkMessage>();
  if (m.parts.size() != 1 || !l->ParseFromArray(m.parts[0].data(), static_cast<int>(m.parts[0].size()))
      || l->message_case() == v1::LinkMessage::MESSAGE_NOT_SET) {
    log::warn("malformed message endpoint=store.dispatch peer={}", m.peer);
    return;
  }
  ctx.dispatcher.send(from_link{m.peer, std::move(l)});
}

} // namespace

void open_sockets(const std::shared_ptr<context>& ctx) {
  auto& rt = ctx->rt;
  const auto max = rt.config().store.max_batch.count + header_room;
  ctx->ingest = rt.bus().open({.kind = bus::socket_kind::router, .name = "store.ingest",
                               .bind = rt.address("store.ingest"), .queue = 0, .max_message = max},
                              [c = ctx.get()](bus::message&& m) { on_ingest(*c, std::move(m)); });
  ctx->dispatch = rt.bus().open({.kind = bus::socket_kind::router, .name = "store.dispatch",
                                 .bind = rt.address("store.dispatch"), .queue = 0, .max_message = 4 << 20},
                                [c = ctx.get()](bus::message&& m) { on_dispatch(*c, std::move(m)); });
}

} // namespace holdfast::store
