#include "services/acquisition/acquisition.hpp"

#include "common/core/time.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/ingest.pb.h"

using namespace holdfast;

namespace {

const std::string& producer_of(const v1::StoreMessage& m) {
  if (m.has_welcome())
    return m.welcome().producer();
  if (m.has_ack())
    return m.ack().producer();
  return m.refusal().producer();
}

void on_store_message(acquisition::context& ctx, bus::message&& m) {
  auto s = std::make_shared<v1::StoreMessage>();
  if (m.parts.size() != 1 || !s->ParseFromArray(m.parts[0].data(), static_cast<int>(m.parts[0].size())))
    return log::warn("malformed message endpoint=store.ingest");
  if (auto to = ctx.sources.find(producer_of(*s)); to != ctx.sources.end())
    to->second->send(acquisition::from_store{std::move(s)});
}

std::vector<actor::child_spec> components(service::runtime& rt) {
  auto ctx = std::make_shared<acquisition::context>(rt);
  ctx->boot_id = boot_id();
  for (auto& s : rt.config().sources)
    ctx->sources[acquisition::producer_name(s)] = std::make_shared<actor::slot>();
  ctx->store = rt.bus().open({.kind = bus::socket_kind::dealer, .name = "store.ingest",
                              .connect = {rt.address("store.ingest")}, .identity = rt.instance(), .queue = 0},
                             [ctx](bus::message&& m) { on_store_message(*ctx, std::move(m)); },
                             [ctx](bool there) {
                               ctx->store_reachable = there;
                               for (auto& [name, slot] : ctx->sources)
                                 slot->send(acquisition::store_there{there});
                             });
  std::vector<actor::child_spec> children;
  for (auto& s : rt.config().sources)
    children.push_back({.id = "source:" + s.name,
                        .start = [ctx, s](caf::actor_system& sys) { return acquisition::spawn_source(sys, ctx, s); },
                        .grace = std::chrono::milliseconds(4000)});
  return children;
}

} // namespace

int main(int argc, char** argv) {
  return service::run(argc, argv, {
    .service = "acquisition",
    .about = "holdfast-acquisition: takes data from field devices and hands it to the store",
    .components = components,
    .stop_together = true,  // each drains for as long as the store needs; in turn many would not come to it
  });
}
