#pragma once

// Which request of which device is next on a bus. Pure: time is passed in.

#include "common/config/config.hpp"
#include "services/acquisition/modbus/overdue.hpp"
#include "services/acquisition/modbus/plan.hpp"

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <vector>

namespace holdfast::acquisition::modbus {

/// A point whose address the device refuses is asked this rarely: the device may get another program some day.
inline constexpr std::chrono::milliseconds refused_pause{60000};

enum class device_state { unknown, online, offline };

/// Requests on a bus never overlap: take() gives one, then answered() or silent() tells how it ended.
///
/// Every group runs at a fixed rate from the start. What could not be asked in its period is counted as missed, not
/// caught up, so a stall is followed by no burst. Of the devices that have something due, the one that waited longest
/// since its last request is next, so a device with many requests does not push away one with few.
///
/// A request whose answer is overdue holds back those to the same unit that this answer would fit (see overdue.hpp). It
/// may itself be made again, but not before one of them that has waited longer: a request that is never answered does
/// not push away its neighbours for ever.
///
/// A device that stays silent breaker_failures times in a row is offline: its breaker opens, and one request per
/// breaker_pause tries again. What is not asked meanwhile is not "missed": the device's state tells.
class schedule {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  struct task {
    std::size_t device = 0;
    const request_group* group = nullptr; ///< until the end of the task is told
    time_point slot;                      ///< when it was planned
    std::uint64_t missed = 0;             ///< periods of this group lost before it
    bool doubtful = false;                ///< an exception may be the answer to an earlier request
  };

  /// The devices must outlive the schedule.
  schedule(const std::vector<config::modbus_device>& devices, time_point start);

  /// The request to make now, if any is due.
  std::optional<task> take(time_point now);
  /// When take() will have something; time_point::max() if never.
  time_point next_due() const;

  /// Before it is told how the request ended: an answer to it may still come for so long.
  void owed(time_point now, duration late);
  /// How the request ended. True: the device's state changed by it.
  bool answered();                                   ///< with values, or an exception that shows it lives
  bool silent(time_point now, duration rest = {});   ///< no answer; the device is left alone for at least `rest`
  /// After answered(): the answer was that the request is illegal. Its parts are due at once; false: it was a single
  /// point, which is now asked every refused_pause only.
  bool refused();

  /// The bus is gone: the devices that were not offline before.
  std::vector<std::size_t> bus_lost();
  /// The bus is back: everything is due at its own rate from now, devices that are offline are tried at once.
  void bus_back(time_point now);

  device_state state(std::size_t index) const { return devices_[index].state; }

private:
  struct entry {
    request_group group;
    duration period;
    time_point due;
  };
  struct device {
    const config::modbus_device* config;
    std::list<entry> entries;      // a list: a task points at its entry while others are split
    device_state state = device_state::unknown;
    unsigned failures = 0;         // in a row
    bool open = false;             // the breaker
    time_point not_before{};       // breaker pause, or rest after a silence
    std::uint64_t turn = 0;        // of its last request
  };

  std::list<entry>::iterator earliest(device& d, time_point now) const;
  time_point ready(const device& d) const;
  time_point ready(const device& d, const entry& e) const;
  bool waited_for(const device& d, const entry& e) const;
  static void skip_to(device& d, time_point now);
  bool change(device& d, device_state to);

  std::vector<device> devices_;
  overdue overdue_;
  std::uint64_t turns_ = 0;
  device* current_ = nullptr;
  std::list<entry>::iterator running_;
  time_point slot_{};
};

} // namespace holdfast::acquisition::modbus
