// holdfast-health: wiring only. Read health.hpp first.

#include "common/actor/slot.hpp"
#include "common/bus/endpoints.hpp"
#include "common/service/reader_queue.hpp"
#include "common/service/runtime.hpp"
#include "services/health/health.hpp"
#include "services/health/listener.hpp"
#include "services/health/tap.hpp"

#include <algorithm>

namespace {

using namespace holdfast;

// A socket file that appears is connected within this time.
constexpr std::chrono::milliseconds look_period{1000};
// A published batch is one message part; its header parts are small.
constexpr std::size_t batch_margin = 64 * 1024;

// A tap may ask for the figures of all services as well.
std::size_t largest_event(const config::gateway& c) {
  return std::max<std::size_t>(c.store.max_batch.count + batch_margin, health::listener::max_message);
}

std::shared_ptr<health::listener> open_bus(service::runtime& rt, const std::vector<health::fleet::member>& members,
                                           std::shared_ptr<health::inbox> box) {
  const auto tap = health::open_tap(rt.bus(), rt.metrics(),
                                    {.bind = rt.address("tap"),
                                     .queue = static_cast<std::size_t>(
                                       service::reader_queue(rt.config(), rt.config().health.tap_queue)),
                                     .max_message = largest_event(rt.config())});
  auto l = std::make_shared<health::listener>(rt.bus(), rt.config().run_directory, members, tap, std::move(box));
  l->look();
  rt.bus().every(look_period, [l] { l->look(); });
  return l;
}

std::vector<actor::child_spec> components(service::runtime& rt) {
  const auto members = health::members_of(rt.config());
  std::vector<std::string> names;
  for (auto& m : members)
    names.push_back(m.name);
  const auto box = std::make_shared<health::inbox>(names);
  const auto listener = open_bus(rt, members, box);
  const health::addresses where{std::make_shared<actor::slot>(), std::make_shared<actor::slot>()};
  const bool centre = rt.config().collector && rt.config().links.empty() && rt.config().sources.empty();

  const auto monitor = std::make_shared<const health::monitor_parts>(health::monitor_parts{
    .gateway = rt.config().name,
    .version = HOLDFAST_VERSION,
    .members = members,
    .box = box,
    .run_directory = rt.config().run_directory,
    .disk_directory = centre ? rt.config().collector->directory : rt.config().store.directory,
    .interval = rt.config().health.interval,
    .pulse = rt.pulse(),
    .metrics = rt.metrics(),
    .alarm = [&rt](auto& name, bool raised, auto& text) { rt.alarm(name, raised, text); },
    .ask_status = [listener] { health::listener::ask(listener); },
    .where = where});
  const auto web = std::make_shared<const health::web_parts>(health::web_parts{
    .listen = rt.config().health.listen,
    .pulse = rt.pulse(),
    .metrics = rt.metrics(),
    .set_state = [&rt](auto& state, auto& detail, bool healthy) { rt.set_state("web", state, detail, healthy); },
    .where = where});
  return {{.id = "monitor", .start = [monitor](caf::actor_system& s) { return health::spawn_monitor(s, monitor); }},
          {.id = "web", .start = [web](caf::actor_system& s) { return health::spawn_web(s, web); }}};
}

} // namespace

int main(int argc, char** argv) {
  service::definition d;
  d.service = "health";
  d.about = "Watches the services of a gateway: metrics, status page, alarms, and the read-only tap.";
  d.components = components;
  return service::run(argc, argv, d);
}
