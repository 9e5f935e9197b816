#include "services/collector/collector.hpp"

#include <stdexcept>

using namespace holdfast;

int main(int argc, char** argv) {
  return service::run(argc, argv, {
    .service = "collector",
    .about = "holdfast-collector: the centre's side: stores, removes duplicates, acknowledges after its commit",
    .components = [](service::runtime& rt) {
      if (!rt.config().collector)
        throw std::runtime_error("failed to start collector: " + rt.config().path + " has no section collector");
      auto ctx = std::make_shared<collector::context>(rt, *rt.config().collector);
          return std::vector<actor::child_spec>{
        {"archive", [ctx](caf::actor_system& s) { return collector::spawn_archive(s, ctx); }},
        {"server", [ctx](caf::actor_system& s) { return collector::spawn_server(s, ctx); }},
      };
    },
    .how = actor::strategy::rest_for_one,
  });
}
