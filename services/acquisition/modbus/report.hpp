#pragma once

// Which readings of a point become samples. Pure.

#include "common/config/config.hpp"
#include "services/acquisition/modbus/decode.hpp"

#include <chrono>
#include <optional>

namespace holdfast::acquisition::modbus {

/// Remembers what was reported last of one point. A change between good and no value is reported at once whatever the
/// configuration says, and only once.
class reporter {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Whether this reading is to be reported; it then counts as reported. `slot` is the time the reading was planned
  /// for: so an interval that is a multiple of the period is kept exactly, however late answers are.
  bool take(const config::modbus_point& point, const reading& r, time_point slot);

private:
  bool wanted(const config::modbus_point& point, const reading& r, time_point slot) const;

  std::optional<reading> last_;
  time_point reported_{};
};

/// Whether the value moved by more than the dead band (texts and bits: at all).
bool moved(const decltype(sample::value)& from, const decltype(sample::value)& to, double dead_band);

} // namespace holdfast::acquisition::modbus
