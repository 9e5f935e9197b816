#pragma once

// The only place where the system's clocks and its entropy are read. Cores get time passed in.

#include <cstdint>
#include <string>

namespace holdfast {

std::int64_t unix_nanos() noexcept;      ///< CLOCK_REALTIME
std::int64_t boottime_nanos() noexcept;  ///< CLOCK_BOOTTIME: monotonic, counts suspend
bool clock_synchronised() noexcept;      ///< the kernel's discipline says so (adjtimex)
std::string boot_id();                   ///< of the running kernel
std::uint64_t random_id();               ///< never 0

} // namespace holdfast
