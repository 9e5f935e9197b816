#pragma once

#include <cstddef>

namespace holdfast::config {

/// What one gateway may have of these. Each source and each Modbus device has loops in acquisition's heartbeat, figures
/// in its metrics and a line in its status, and who reads those takes messages of a bounded size only
/// (watchdog/heartbeat_intake.cpp, health/listener.hpp): a heartbeat beyond that would look like none.
inline constexpr std::size_t most_sources = 1000;
inline constexpr std::size_t most_devices = 4000;

} // namespace holdfast::config
