#pragma once

#include "common/config/config.hpp"
#include "services/watchdog/process.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace holdfast::watchdog {

/// Who watches the watchdog: systemd (sd_notify) and the hardware timer. Both are told only from the actor's own tick,
/// so they learn when it stands still. Without NOTIFY_SOCKET or `feed_device` the respective part does nothing.
class notify {
public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit notify(const config::watchdog& settings);
  /// Leaves the hardware timer running: only stopping() disarms it.
  ~notify() = default;

  /// A sign of life. `fit` false: this process is up, but not all of it works, so nothing is told.
  void tick(time_point now, bool fit);
  void ready();
  /// One line for systemctl status.
  void status(const std::string& text);
  /// An ordered stop began.
  void stopping();
  /// The services are gone: the hardware timer is disarmed.
  void stopped();

  /// What is wrong with the hardware watchdog; empty: nothing.
  const std::string& device_trouble() const noexcept { return trouble_; }

private:
  void feed_device(time_point now);
  bool open_device();

  config::watchdog settings_;
  std::optional<std::chrono::microseconds> systemd_period_;
  time_point systemd_due_{};
  time_point device_due_{};
  descriptor device_;
  std::string trouble_;
  std::string status_;
  bool ready_ = false;
};

} // namespace holdfast::watchdog
