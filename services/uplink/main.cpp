#include "services/uplink/uplink.hpp"

#include "holdfast/v1/dispatch.pb.h"

#include <algorithm>
#include <stdexcept>

using namespace holdfast;

namespace {

const config::link& find_link(const config::gateway& g, const std::string& name) {
  auto it = std::find_if(g.links.begin(), g.links.end(), [&](auto& l) { return l.name == name; });
  if (it == g.links.end())
    throw std::runtime_error("failed to start uplink: " + g.path + " has no link " + name);
  return *it;
}

void on_store_message(uplink::context& ctx, bus::message&& m) {
  auto r = std::make_shared<v1::RouteMessage>();
  if (m.parts.empty() || !r->ParseFromArray(m.parts[0].data(), static_cast<int>(m.parts[0].size())))
    return;
  ctx.session.send(uplink::from_store{std::move(r), m.parts.size() > 1 ? std::move(m.parts[1]) : blob{}});
}

std::vector<actor::child_spec> components(service::runtime& rt, const std::string& name) {
  auto ctx = std::make_shared<uplink::context>(rt, find_link(rt.config(), name));
  ctx->store = rt.bus().open({.kind = bus::socket_kind::dealer, .name = "store.dispatch",
                              .connect = {rt.address("store.dispatch")}, .identity = rt.instance(), .queue = 0,
                              .max_message = rt.config().store.max_batch.count + 64 * 1024},
                             [c = ctx.get()](bus::message&& m) { on_store_message(*c, std::move(m)); },
                             [c = ctx.get()](bool there) {
                               c->store_reachable = there;
                               c->session.send(uplink::store_there{there});
                             });
  return {{"session", [ctx](caf::actor_system& s) { return uplink::spawn_session(s, ctx); }}};
}

} // namespace

int main(int argc, char** argv) {
  std::string link;
  return service::run(argc, argv, {
    .service = "uplink",
    .about = "holdfast-uplink: carries batches over one link and brings back what the destination has confirmed",
    .options = {{"--link", "Name of the link in the YAML file", &link, true}},
    .instance = [&](const config::gateway& g) { return "uplink-" + find_link(g, link).name; },
    .components = [&](service::runtime& rt) { return components(rt, link); },
  });
}
