#pragma once

#include <chrono>
#include <cstdint>
#include <utility>

namespace holdfast::log {

/// For lines that others can provoke as often as they like: lets so many through in a second. For one thread.
class sparse {
public:
  using clock = std::chrono::steady_clock;

  explicit sparse(unsigned lines_per_second = 10) : most_(lines_per_second) {}

  /// How often it happened since the last line, this time included. 0: no line now.
  std::uint64_t due(clock::time_point now = clock::now()) {
    ++happened_;
    if (now >= until_) {
      until_ = now + std::chrono::seconds(1);
      left_ = most_;
    }
    if (left_ == 0)
      return 0;
    --left_;
    return std::exchange(happened_, 0);
  }

private:
  unsigned most_;
  unsigned left_ = 0;
  std::uint64_t happened_ = 0;
  clock::time_point until_ = clock::time_point::min();
};

} // namespace holdfast::log
