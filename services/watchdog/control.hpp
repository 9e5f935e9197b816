#pragma once

#include "services/watchdog/service_table.hpp"

#include <functional>
#include <vector>

namespace holdfast::v1 {
class ControlRequest;
class ControlReply;
}

namespace holdfast::watchdog {

/// Answers a RestartRequest: passes the service's number to `order`, or replies which services there are. False:
/// another kind of request. The reply means accepted; how it went shows in the service's state.
bool answer_restart(const std::vector<service_entry>& table, bool stopping, const v1::ControlRequest& request,
                    v1::ControlReply& reply, const std::function<void(std::size_t service)>& order);

} // namespace holdfast::watchdog
