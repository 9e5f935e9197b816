#pragma once

#include "common/config/config.hpp"

#include <algorithm>
#include <cstdint>

namespace holdfast::service {

/// Messages kept for a reader of events that does not keep up: `most`, and no more than what fits into 128 MiB if each were
/// as large as the largest batch that a source makes. ZeroMQ counts messages, and records are read as batches.
inline int reader_queue(const config::gateway& g, std::uint64_t most) {
  constexpr std::uint64_t memory = 128 << 20;
  std::uint64_t largest = 64 << 10;
  for (auto& s : g.sources)
    largest = std::max(largest, s.batch.size.count);
  return static_cast<int>(std::min(most, std::max<std::uint64_t>(memory / largest, 16)));
}

} // namespace holdfast::service
