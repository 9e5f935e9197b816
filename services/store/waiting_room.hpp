#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace holdfast::store {

/// How much waits for an actor. A message keeps its seat as long as it lives: whatever becomes of it, worked on, dropped or
/// lost with the actor, its room is free again. While the room is full, the bus socket is not read and its peers wait.
class waiting_room {
public:
  using seat = std::shared_ptr<const void>;
  static constexpr std::uint64_t least = 1024;  ///< what a message without payload takes

  explicit waiting_room(std::uint64_t bytes) : limit_(bytes) {}

  seat take(std::size_t payload) { return std::make_shared<taken>(used_, payload + least); }
  std::uint64_t used() const noexcept { return *used_; }
  bool full() const noexcept { return used() >= limit_; }

private:
  using counter = std::atomic<std::uint64_t>;
  struct taken {
    taken(std::shared_ptr<counter> c, std::uint64_t n) : used(std::move(c)), bytes(n) { *used += bytes; }
    ~taken() { *used -= bytes; }
    taken(const taken&) = delete;
    taken& operator=(const taken&) = delete;
    std::shared_ptr<counter> used;
    std::uint64_t bytes;
  };

  std::uint64_t limit_;
  std::shared_ptr<counter> used_ = std::make_shared<counter>(0);
};

} // namespace holdfast::store
