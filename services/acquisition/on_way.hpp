#pragma once

#include "common/core/blob.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::acquisition {

/// What an intake has read and its SOURCE has not worked on. Bytes count as long as they live: whatever becomes of
/// their message, worked on, dropped or lost with the actor, its room is free again. Any thread.
class on_way {
public:
  static constexpr std::uint64_t beside = 512;  ///< what a message takes in the mailbox beside the bytes it brings

  explicit on_way(std::uint64_t limit_bytes) : limit_(limit_bytes) {}

  blob take(std::string_view bytes) {
    auto p = std::make_shared<const parcel>(used_, bytes);
    return {p, p->bytes.data(), p->bytes.size()};
  }
  std::uint64_t used() const noexcept { return *used_; }
  bool full() const noexcept { return used() >= limit_; }

private:
  using counter = std::atomic<std::uint64_t>;
  struct parcel {
    parcel(std::shared_ptr<counter> c, std::string_view b) : used(std::move(c)), bytes(b) { *used += size(); }
    ~parcel() { *used -= size(); }
    parcel(const parcel&) = delete;
    parcel& operator=(const parcel&) = delete;
    std::uint64_t size() const noexcept { return bytes.size() + beside; }
    std::shared_ptr<counter> used;
    std::string bytes;
  };

  std::uint64_t limit_;
  std::shared_ptr<counter> used_ = std::make_shared<counter>(0);
};

} // namespace holdfast::acquisition
