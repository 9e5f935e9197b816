#include "services/watchdog/notify.hpp"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace holdfast::watchdog {

namespace {

using namespace std::chrono_literals;

constexpr auto device_period = 1s;

} // namespace

notify::notify(const config::watchdog& settings) : settings_(settings) {
  std::uint64_t micros = 0;
  if (::sd_watchdog_enabled(0, &micros) > 0)
    systemd_period_ = std::chrono::microseconds(micros / 2);
}

void notify::tick(time_point now, bool fit) {
  if (!fit)
    return;
  if (systemd_period_ && now >= systemd_due_) {
    systemd_due_ = now + *systemd_period_;
    ::sd_notify(0, "WATCHDOG=1");
  }
  if (settings_.feed_device && now >= device_due_)
    feed_device(now);
}

void notify::ready() {
  if (!std::exchange(ready_, true))
    ::sd_notify(0, "READY=1");
}

void notify::status(const std::string& text) {
  if (text != std::exchange(status_, text))
    ::sd_notify(0, ("STATUS=" + text).c_str());
}

void notify::stopping() { ::sd_notify(0, "STOPPING=1"); }

void notify::stopped() {
  // The magic close: without this letter the driver keeps the timer running, and the machine restarts.
  if (device_ && ::write(device_.get(), "V", 1) != 1)
    trouble_ = fmt::format("failed to disarm hardware watchdog {}: {}", settings_.device, std::strerror(errno));
  device_ = descriptor();
  settings_.feed_device = false;
}

void notify::feed_device(time_point now) {
  device_due_ = now + device_period;
  if (!device_ && !open_device())
    return;
  if (::write(device_.get(), "1", 1) == 1) {
    trouble_.clear();
    return;
  }
  trouble_ = fmt::format("failed to feed hardware watchdog {}: {}", settings_.device, std::strerror(errno));
  device_ = descriptor();
}

// Never created: a plain file in the place of the device would look like protection. Not blocking, for a FIFO in tests.
bool notify::open_device() {
  device_ = descriptor(::open(settings_.device.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
  if (!device_)
    trouble_ = fmt::format("failed to open hardware watchdog {}: {}", settings_.device, std::strerror(errno));
  return static_cast<bool>(device_);
}

} // namespace holdfast::watchdog
