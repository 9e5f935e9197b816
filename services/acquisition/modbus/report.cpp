#include "services/acquisition/modbus/report.hpp"

#include <cmath>
#include <type_traits>

namespace holdfast::acquisition::modbus {

namespace {

/// Long double holds every 64-bit integer, so small steps of a large counter are not rounded away.
std::optional<long double> number(const decltype(sample::value)& value) {
  return std::visit(
    [](const auto& v) -> std::optional<long double> {
      using type = std::remove_cvref_t<decltype(v)>;
      if constexpr (std::is_arithmetic_v<type> && !std::is_same_v<type, bool>)
        return static_cast<long double>(v);
      else
        return std::nullopt;
    },
    value);
}

} // namespace

bool moved(const decltype(sample::value)& from, const decltype(sample::value)& to, double dead_band) {
  const auto a = number(from);
  const auto b = number(to);
  if (a && b)
    return std::fabs(*a - *b) > static_cast<long double>(dead_band);
  return from != to;
}

bool reporter::take(const config::modbus_point& point, const reading& r, time_point slot) {
  if (!wanted(point, r, slot))
    return false;
  last_ = r;
  reported_ = slot;
  return true;
}

bool reporter::wanted(const config::modbus_point& point, const reading& r, time_point slot) const {
  if (!last_ || last_->quality != r.quality)
    return true;
  if (r.quality == quality::bad)
    return false;
  switch (point.report) {
  case config::report_kind::interval:
    return slot - reported_ >= point.report_interval;
  case config::report_kind::on_change:
    return slot - reported_ >= point.report_interval || moved(last_->value, r.value, point.dead_band);
  default:
    return true;
  }
}

} // namespace holdfast::acquisition::modbus
