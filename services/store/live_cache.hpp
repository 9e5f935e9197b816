#pragma once

#include "services/store/batch_file.hpp"

#include <list>
#include <map>
#include <optional>
#include <string>

namespace holdfast::store {

/// The newest stored batches that are still to be confirmed, so that live traffic is not read back from disk. Bounded
/// by bytes; the oldest go first.
class live_cache {
public:
  /// What a batch takes here beside its payload: three allocations and two names.
  static constexpr std::uint64_t overhead = 320;

  explicit live_cache(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  void put(const batch& b) {
    const auto [at, fresh] = index_.try_emplace(key{b.record_class, b.seqs.first});
    if (!fresh)
      return;
    at->second = batches_.insert(batches_.end(), b);
    if (b.payload.size() < receive_buffer)
      at->second->payload = blob(std::string(b.payload.view()));
    bytes_ += overhead + b.payload.size();
    while (bytes_ > max_bytes_)
      forget(batches_.front().record_class, batches_.front().seqs.first);
  }

  /// What begins there gave way.
  void forget(const std::string& record_class, std::uint64_t first) {
    if (auto it = index_.find({record_class, first}); it != index_.end())
      erase(it);
  }

  /// All destinations have what is below `seq`.
  void forget_below(const std::string& record_class, std::uint64_t seq) {
    auto it = index_.lower_bound({record_class, 0});
    while (it != index_.end() && it->first.first == record_class && it->second->seqs.last < seq)
      it = erase(it);
  }

  std::optional<batch> find(const std::string& record_class, std::uint64_t first) const {
    auto it = index_.find({record_class, first});
    return it == index_.end() ? std::nullopt : std::optional(*it->second);
  }

  std::uint64_t bytes() const noexcept { return bytes_; }

private:
  using key = std::pair<std::string, std::uint64_t>;
  using index = std::map<key, std::list<batch>::iterator>;

  index::iterator erase(index::iterator it) {
    bytes_ -= overhead + it->second->payload.size();
    batches_.erase(it->second);
    return index_.erase(it);
  }

  /// ZeroMQ's: a message that fits in shares it with others, and would keep all of it.
  static constexpr std::size_t receive_buffer = 8192;
  std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0;
  std::list<batch> batches_;  // as they were stored
  index index_;
};

} // namespace holdfast::store
