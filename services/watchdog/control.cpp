#include "services/watchdog/control.hpp"

#include "holdfast/v1/control.pb.h"

#include <fmt/format.h>

namespace holdfast::watchdog {

bool answer_restart(const std::vector<service_entry>& table, bool stopping, const v1::ControlRequest& request,
                    v1::ControlReply& reply, const std::function<void(std::size_t)>& order) {
  if (!request.has_restart())
    return false;
  const auto& wanted = request.restart().process();
  const auto service = find_service(table, wanted);
  if (!service) {
    reply.set_error(fmt::format("failed to restart '{}': this watchdog guards {}", wanted, names(table)));
  } else if (stopping) {
    reply.set_error(fmt::format("failed to restart '{}': the watchdog is stopping", wanted));
  } else {
    order(*service);
    reply.set_ok(true);
  }
  return true;
}

} // namespace holdfast::watchdog
