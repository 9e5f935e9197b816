#include "common/link/byte_budget.hpp"

#include <algorithm>
#include <limits>

namespace holdfast::link {

namespace {

std::int64_t day_of(wall_time t) { return std::chrono::floor<std::chrono::days>(t).time_since_epoch().count(); }

auto month_of(std::int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  return date.year() / date.month();
}

std::uint64_t rest(std::uint64_t limit, double share, std::uint64_t used) {
  if (limit == 0)
    return std::numeric_limits<std::uint64_t>::max();
  const auto bound = share >= 1 ? limit : static_cast<std::uint64_t>(static_cast<double>(limit) * share);
  return bound > used ? bound - used : 0;
}

} // namespace

const char* to_string(budget_level level) {
  static constexpr const char* names[] = {"ample", "warned", "reserve", "spent"};
  return names[static_cast<int>(level)];
}

void byte_budget::advance(wall_time now) {
  const auto day = day_of(now);
  if (day != state_.counted && day > state_.day) {
    state_.used_day = 0;
    if (month_of(day) != month_of(state_.counted))
      state_.used_month = 0;
    state_.counted = day;
  }
  if (day > state_.day || day < state_.day - short_step)
    state_.day = day;
}

void byte_budget::spend(std::uint64_t bytes, wall_time now) {
  advance(now);
  state_.used_day += bytes;
  state_.used_month += bytes;
}

std::uint64_t byte_budget::left_below(double share, std::uint64_t coming) const {
  return std::min(rest(settings_.day, share, state_.used_day + coming),
                  rest(settings_.month, share, state_.used_month + coming));
}

budget_level byte_budget::level(std::uint64_t coming) const {
  if (left_below(1, coming) == 0)
    return budget_level::spent;
  if (left_below(settings_.reserve, coming) == 0)
    return budget_level::reserve;
  return left_below(settings_.warn, coming) == 0 ? budget_level::warned : budget_level::ample;
}

} // namespace holdfast::link
