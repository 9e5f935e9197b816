#pragma once

#include "common/core/blob.hpp"
#include "holdfast/v1/wire.pb.h"

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::uplink {

/// What waits to be written: pings first, then live records and all that is no data, then the backlog, which is
/// overtaken by so much only before its next batch goes. Pure.
class outbox {
public:
  struct frame {
    std::string head;
    blob payload;
  };

  static constexpr std::size_t frames_per_write = 64;  // below the kernel's limit of buffers in one call
  static constexpr std::size_t bytes_per_write = 64 * 1024;  // or one frame: a ping waits for as much
  static constexpr std::uint64_t most_overtaken = 1024 * 1024;  // four of the backlog's batches: a fifth of the link

  void put(const v1::WireMessage& header, frame f) {
    (header.has_ping() ? pings_ : header.data().historical() ? backlog_ : live_).push_back(std::move(f));
  }
  bool empty() const noexcept { return pings_.empty() && live_.empty() && backlog_.empty(); }
  void clear() { *this = {}; }

  /// For one write.
  std::vector<frame> take() {
    std::vector<frame> out;
    for (std::size_t bytes = 0; out.size() < frames_per_write && bytes < bytes_per_write;) {
      auto& from = next();
      if (from.empty())
        break;
      bytes += from.front().payload.size();
      out.push_back(std::move(from.front()));
      from.pop_front();
    }
    return out;
  }

private:
  std::deque<frame>& next() {
    if (!pings_.empty())
      return pings_;
    if (live_.empty() || (!backlog_.empty() && overtaken_ >= most_overtaken)) {
      overtaken_ = 0;
      return backlog_;
    }
    overtaken_ += backlog_.empty() ? 0 : live_.front().payload.size();
    return live_;
  }

  std::deque<frame> pings_;
  std::deque<frame> live_;
  std::deque<frame> backlog_;
  std::uint64_t overtaken_ = 0;  // bytes that went ahead of the backlog's first
};

} // namespace holdfast::uplink
