#pragma once

#include "common/core/blob.hpp"

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace holdfast::health {

/// What the bus thread leaves for MONITOR, which collects it a few times a second: one wake-up for all services instead
/// of one for each message, and a mailbox that cannot grow. What comes while it is full is dropped and counted.
class inbox {
public:
  enum class kind { event, status };
  struct item {
    kind what = kind::event;
    std::vector<blob> parts;
  };
  static constexpr std::size_t message_limit = 10000;
  static constexpr std::size_t byte_limit = 16 * 1024 * 1024;

  void put(item i) {
    std::size_t size = 0;
    for (auto& p : i.parts)
      size += p.size();
    std::lock_guard lock(mutex_);
    if (items_.size() >= message_limit || bytes_ + size > byte_limit) {
      ++dropped_;
      return;
    }
    bytes_ += size;
    items_.push_back(std::move(i));
  }

  std::vector<item> take() {
    std::lock_guard lock(mutex_);
    bytes_ = 0;
    return std::exchange(items_, {});
  }

  std::uint64_t dropped() const {
    std::lock_guard lock(mutex_);
    return dropped_;
  }

private:
  mutable std::mutex mutex_;
  std::vector<item> items_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

} // namespace holdfast::health
