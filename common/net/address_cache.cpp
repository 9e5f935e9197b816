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
  std::erase_if(failed_, [&](auto& a) { return std::find(known_.begin(), known_.end(), a) == known_.end(); });
  arrange();
}

void address_cache::worked(const std::string& address) {
  best_ = address;
  std::erase(failed_, address);
  arrange();
}

void address_cache::failed(const std::string& address) {
  if (best_ == address)
    best_.clear();
  std::erase(failed_, address);
  if (std::find(known_.begin(), known_.end(), address) != known_.end())
    failed_.push_back(address);
  arrange();
}

void address_cache::arrange() {
  const auto rank = [&](const std::string& a) {
    const auto at = std::find(failed_.begin(), failed_.end(), a);
    return a == best_ ? -1 : at == failed_.end() ? 0 : 1 + (at - failed_.begin());
  };
  std::stable_sort(known_.begin(), known_.end(), [&](auto& a, auto& b) { return rank(a) < rank(b); });
}

std::chrono::milliseconds address_cache::share(milliseconds left, milliseconds all, std::size_t addresses) {
  const auto fair = left / static_cast<int>(std::max<std::size_t>(addresses, 1));
  return std::clamp(fair, std::min(left, all / least_share), left);
}

} // namespace holdfast::net
