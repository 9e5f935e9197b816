#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace holdfast::acquisition {

/// When something was read: wall clock and CLOCK_BOOTTIME of the same moment, nanoseconds.
struct timestamp {
  std::int64_t unix_nanos = 0;
  std::int64_t monotonic_nanos = 0;
};

enum class quality { good, uncertain, bad };

/// One value of one stream, from a source that understands its device.
struct sample {
  std::string stream;
  timestamp time;
  std::variant<std::monostate, double, std::int64_t, std::uint64_t, bool, std::string> value;  // monostate: no value
  acquisition::quality quality = quality::good;
};

} // namespace holdfast::acquisition
