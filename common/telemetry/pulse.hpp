#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast {

/// Who in this process works, and when it last got through a turn of its loop. The heartbeat carries these ages; the
/// watchdog judges them. A loop beats by doing its work (or by waking up to find none), never from another thread.
class pulse {
public:
  class loop {
  public:
    loop(std::string name, std::chrono::milliseconds limit) : name_(std::move(name)), limit_(limit) { beat(); }
    void beat() noexcept { last_.store(now(), std::memory_order_relaxed); }
    const std::string& name() const noexcept { return name_; }
    std::chrono::milliseconds limit() const noexcept { return limit_; }
    std::chrono::milliseconds age() const noexcept { return std::chrono::milliseconds(now() - last_.load()); }

  private:
    static std::int64_t now() noexcept {
      return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
    }
    std::string name_;
    std::chrono::milliseconds limit_;
    std::atomic<std::int64_t> last_{0};
  };

  /// The loop counts as long as the handle lives. Any thread.
  std::shared_ptr<loop> add(std::string name, std::chrono::milliseconds limit) {
    auto l = std::make_shared<loop>(std::move(name), limit);
    std::lock_guard lock(mutex_);
    loops_.push_back(l);
    return l;
  }

  /// Loops that are alive now.
  std::vector<std::shared_ptr<const loop>> loops() {
    std::vector<std::shared_ptr<const loop>> out;
    std::lock_guard lock(mutex_);
    std::erase_if(loops_, [&](auto& weak) {
      auto l = weak.lock();
      if (l)
        out.push_back(std::move(l));
      return weak.expired();
    });
    return out;
  }

private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<loop>> loops_;
};

} // namespace holdfast
