#include "common/net/address_cache.hpp"

#include <algorithm>

namespace holdfast::net {

void address_cache::resolved(const std::vector<std::string>& addresses, clock::time_point now) {
  if (addresses.empty())
    return;
  known_.clear();
  for (auto& a : addresses)
    if (known_.size() < most && std::find(known_.begin(), known_.end(), a) == known_.end())
      known_.push_back(a);
  since_ = now;
  put_first(best_);
}

void address_cache::worked(const std::string& address) {
  best_ = address;
  put_first(address);
}

void address_cache::put_first(const std::string& address) {
  if (auto at = std::find(known_.begin(), known_.end(), address); at != known_.end())
    std::rotate(known_.begin(), at, at + 1);
}

} // namespace holdfast::net
