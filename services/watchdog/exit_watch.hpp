#pragma once

#include "services/watchdog/process.hpp"

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::watchdog {

/// One thread that sleeps until a process ends, and says so within milliseconds. Works for children and for adopted
/// processes alike.
class exit_watch {
public:
  using handler = std::function<void(const exit_status&)>;

  /// Throws std::runtime_error when the kernel gives no descriptor to wake the thread with.
  exit_watch();
  ~exit_watch();
  exit_watch(const exit_watch&) = delete;
  exit_watch& operator=(const exit_watch&) = delete;

  /// `on_exit` runs once, in the thread of this object.
  void add(process p, handler on_exit);

private:
  struct entry {
    process watched;
    handler on_exit;
  };

  void run();
  void poke() const;

  descriptor wake_;
  std::mutex mutex_;
  std::vector<entry> added_;  // guarded by mutex_
  bool done_ = false;         // guarded by mutex_
  std::thread thread_;
};

} // namespace holdfast::watchdog
