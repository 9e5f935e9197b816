#include "common/core/time.hpp"

#include <ctime>
#include <fstream>
#include <random>
#include <sys/timex.h>

namespace holdfast {

namespace {

std::int64_t read_clock(clockid_t id) noexcept {
  timespec t{};
  ::clock_gettime(id, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

} // namespace

std::int64_t unix_nanos() noexcept { return read_clock(CLOCK_REALTIME); }
std::int64_t boottime_nanos() noexcept { return read_clock(CLOCK_BOOTTIME); }

bool clock_synchronised() noexcept {
  timex t{};
  return ::adjtimex(&t) >= 0 && (t.status & STA_UNSYNC) == 0;
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::uint64_t random_id() {
  std::random_device entropy;
  const auto id = (static_cast<std::uint64_t>(entropy()) << 32) | entropy();
  return id != 0 ? id : 1;
}

} // namespace holdfast
