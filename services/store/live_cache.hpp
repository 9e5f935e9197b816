#pragma once

#include "services/store/batch_file.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>

namespace holdfast::store {

/// The newest stored batches, so that live traffic is not read back from disk. Bounded by bytes; the oldest go first.
class live_cache {
public:
  explicit live_cache(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  void put(const batch& b) {
    const auto [at, fresh] = batches_.emplace(key{b.record_class, b.seqs.first}, b);
    if (!fresh)
      return;
    if (b.payload.size() < receive_buffer)
      at->second.payload = blob(std::string(b.payload.view()));
    order_.emplace_back(b.record_class, b.seqs.first);
    bytes_ += b.payload.size();
    while (bytes_ > max_bytes_ && !order_.empty()) {
      if (auto oldest = batches_.find(order_.front()); oldest != batches_.end())
        erase(oldest);
      order_.pop_front();
    }
  }

  /// What begins there gave way.
  void forget(const std::string& record_class, std::uint64_t first) {
    if (auto it = batches_.find({record_class, first}); it != batches_.end())
      erase(it);
  }

  std::optional<batch> find(const std::string& record_class, std::uint64_t first) const {
    auto it = batches_.find({record_class, first});
    return it == batches_.end() ? std::nullopt : std::optional(it->second);
  }

private:
  using key = std::pair<std::string, std::uint64_t>;

  void erase(std::map<key, batch>::iterator it) {
    bytes_ -= it->second.payload.size();
    batches_.erase(it);
  }

  /// ZeroMQ's: a message that fits in shares it with others, and would keep all of it.
  static constexpr std::size_t receive_buffer = 8192;
  std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0;
  std::map<key, batch> batches_;
  std::deque<key> order_;  // as they were stored
};

} // namespace holdfast::store
