#pragma once

#include "common/config/config.hpp"

#include <random>

namespace holdfast::acquisition {

/// Value of a simulated signal `seconds` after its start: offset + amplitude * shape + Gaussian noise. Pure but for the
/// generator passed in.
double signal_value(const config::simulated_signal& s, double seconds, std::mt19937_64& chance);

} // namespace holdfast::acquisition
