#include "services/watchdog/watchdog.hpp"

int main(int argc, char** argv) {
  using namespace holdfast;
  watchdog::settings settings;
  std::vector<watchdog::service_entry> table;
  return service::run(argc, argv, {
    .service = "watchdog",
    .about = "holdfast-watchdog: starts the services of this host and keeps them running",
    .options = {{"--only", "Guard this service alone, e.g. store or uplink-main (for containers)", &settings.only}},
    .flags = {{"--observe", "Start and stop nothing; watch heartbeats, report, feed the hardware watchdog",
               &settings.observe}},
    .instance = [&](const config::gateway& gateway) {
      table = watchdog::service_table(gateway, settings.only, watchdog::own_directory());
      return settings.only.empty() ? std::string("watchdog") : "watchdog-" + settings.only;
    },
    .components = [&](service::runtime& rt) -> std::vector<actor::child_spec> {
      return {settings.observe ? watchdog::observer(rt, table) : watchdog::keeper(rt, table)};
    },
    .stop_deadline = watchdog::stop_deadline,
  });
}
