#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

namespace holdfast::collector {

/// Holes that a reader in seq order waits at: news once when one stays open, and once more when it is gone. Pure.
class hole_watch {
public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds patience{5};  ///< backlog that overtakes itself closes within less

  enum class news { none, waits, goes_on };

  /// At each look at an origin: the first number that is missing while newer ones are there; nullopt: none is.
  news look(std::uint64_t origin, std::optional<std::uint64_t> missing, time_point now);

private:
  struct hole {
    std::uint64_t missing;
    time_point since;
    bool told = false;
  };
  std::map<std::uint64_t, hole> open_;
};

} // namespace holdfast::collector
