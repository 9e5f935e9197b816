#include "services/acquisition/waveform.hpp"

#include <cmath>
#include <numbers>

namespace holdfast::acquisition {

double signal_value(const config::simulated_signal& s, double seconds, std::mt19937_64& chance) {
  const double cycle = std::chrono::duration<double>(s.cycle).count();
  const double phase = cycle > 0 ? std::fmod(seconds, cycle) / cycle : 0.0;
  double shape = 0.0;
  switch (s.shape) {
    case config::waveform::sine: shape = std::sin(2 * std::numbers::pi * phase); break;
    case config::waveform::square: shape = phase < 0.5 ? 1.0 : -1.0; break;
    case config::waveform::sawtooth: shape = 2 * phase - 1; break;
    case config::waveform::noise: shape = std::uniform_real_distribution<>(-1.0, 1.0)(chance); break;
  }
  const double noise = s.noise > 0 ? std::normal_distribution<>(0.0, s.noise)(chance) : 0.0;
  return s.offset + s.amplitude * shape + noise;
}

} // namespace holdfast::acquisition
