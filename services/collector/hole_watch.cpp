#include "services/collector/hole_watch.hpp"

namespace holdfast::collector {

hole_watch::news hole_watch::look(std::uint64_t origin, std::optional<std::uint64_t> missing, time_point now) {
  auto it = open_.find(origin);
  if (it != open_.end() && it->second.missing == missing) {
    if (it->second.told || now - it->second.since < patience)
      return news::none;
    it->second.told = true;
    return news::waits;
  }
  const bool told = it != open_.end() && it->second.told;
  if (missing)
    open_.insert_or_assign(origin, hole{*missing, now});
  else if (it != open_.end())
    open_.erase(it);
  return told ? news::goes_on : news::none;
}

} // namespace holdfast::collector
