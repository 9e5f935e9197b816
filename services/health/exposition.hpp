#pragma once

#include "services/health/fleet.hpp"

#include <string>

namespace holdfast::health {

/// The picture as Prometheus text (version 0.0.4): every figure of every service that is up, under the label `instance`;
/// `up` for each; the resources of processes and machine. Figures of a silent service are left out, not repeated.
std::string prometheus_text(const picture& p);

} // namespace holdfast::health
