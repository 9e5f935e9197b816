#pragma once

#include "services/health/fleet.hpp"

#include <string>

namespace holdfast::health {

/// The whole picture for programs and the status page.
std::string status_json(const picture& p);

struct verdict {
  bool healthy = false;
  std::string json;  ///< {"healthy":..., "reasons":[{"instance":..., "reason":...}]}
};
verdict healthz(const picture& p);

} // namespace holdfast::health
