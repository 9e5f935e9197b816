#pragma once

#include <algorithm>
#include <chrono>

namespace holdfast::store {

/// How often something may be tried that ought to help at once: the first time immediately, then after 1 s, doubling to
/// a minute; an hour without it begins anew. Pure: time is passed in.
class retry_pace {
public:
  using clock = std::chrono::steady_clock;

  bool due(clock::time_point now) const { return wait_.count() == 0 || now - last_ >= wait_ || now - last_ >= memory; }
  void tried(clock::time_point now) {
    const bool anew = wait_.count() == 0 || now - last_ >= memory;
    wait_ = anew ? shortest : std::min(2 * wait_, longest);
    last_ = now;
  }

private:
  static constexpr std::chrono::seconds shortest{1};
  static constexpr std::chrono::seconds longest{60};
  static constexpr std::chrono::hours memory{1};

  clock::time_point last_{};
  std::chrono::seconds wait_{0};
};

} // namespace holdfast::store
