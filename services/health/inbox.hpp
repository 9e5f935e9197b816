#pragma once

#include "common/core/blob.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::health {

/// What the bus thread leaves for MONITOR, which collects it twice a second: one wake-up for all services instead of one
/// for each message, and a mailbox that cannot grow. Each service has its own share, so that one that floods the bus
/// cannot make the others look silent. What comes while a share is full is dropped and counted.
class inbox {
public:
  enum class kind { event, status };
  struct item {
    kind what = kind::event;
    std::vector<blob> parts;
  };
  static constexpr std::size_t message_limit = 2000;  ///< for each service
  static constexpr std::size_t byte_limit = 16 * 1024 * 1024;  ///< two of the largest messages

  explicit inbox(const std::vector<std::string>& services) {
    for (auto& s : services)
      shares_[s];
  }

  void put(item i) {
    std::size_t size = 0;
    for (auto& p : i.parts)
      size += p.size();
    std::lock_guard lock(mutex_);
    auto& s = share_of(i);
    if (s.messages >= message_limit || s.bytes + size > byte_limit) {
      ++dropped_;
      return;
    }
    ++s.messages;
    s.bytes += size;
    items_.push_back(std::move(i));
  }

  std::vector<item> take() {
    std::lock_guard lock(mutex_);
    for (auto& [name, s] : shares_)
      s = {};
    strangers_ = replies_ = {};
    return std::exchange(items_, {});
  }

  std::uint64_t dropped() const {
    std::lock_guard lock(mutex_);
    return dropped_;
  }

private:
  struct share {
    std::size_t messages = 0;
    std::size_t bytes = 0;
  };

  share& share_of(const item& i) {
    if (i.what == kind::status)
      return replies_;
    const auto topic = i.parts.empty() ? std::string_view{} : i.parts[0].view();
    const auto dot = topic.find('.');
    const auto it = dot == std::string_view::npos ? shares_.end() : shares_.find(topic.substr(dot + 1));
    return it == shares_.end() ? strangers_ : it->second;
  }

  mutable std::mutex mutex_;
  std::vector<item> items_;
  std::map<std::string, share, std::less<>> shares_;
  share strangers_;  // topics that name nobody we know
  share replies_;
  std::uint64_t dropped_ = 0;
};

} // namespace holdfast::health
