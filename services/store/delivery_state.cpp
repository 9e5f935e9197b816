#include "services/store/delivery_state.hpp"

namespace holdfast::store {

void delivery_state::want(const std::string& destination, const std::string& record_class) {
  classes_[record_class][destination];
}

bool delivery_state::wanted(const std::string& destination, const std::string& record_class) const {
  auto c = classes_.find(record_class);
  return c != classes_.end() && c->second.contains(destination);
}

void delivery_state::load(const std::string& destination, const std::string& record_class,
                          const std::vector<seq_range>& ranges) {
  if (!wanted(destination, record_class))
    return;  // taken out of the configuration: it holds nothing back any more
  for (auto& r : ranges)
    classes_[record_class][destination].insert(r);
}

std::vector<seq_range> delivery_state::mark(const std::string& destination, const std::string& record_class,
                                            seq_range r) {
  if (!wanted(destination, record_class))
    return {};
  auto& mine = classes_[record_class][destination];
  auto fresh = mine.outside(r);
  mine.insert(r);
  return common(record_class, std::move(fresh));
}

std::vector<seq_range> delivery_state::common(const std::string& record_class,
                                              std::vector<seq_range> candidates) const {
  for (auto& [name, has] : classes_.at(record_class)) {
    std::vector<seq_range> next;
    for (auto& c : candidates)
      for (auto& piece : has.inside(c))
        next.push_back(piece);
    candidates = std::move(next);
  }
  return candidates;
}

std::vector<seq_range> delivery_state::missing(const std::string& destination, const std::string& record_class,
                                               std::uint64_t head) const {
  if (head == 0 || !wanted(destination, record_class))
    return {};
  return classes_.at(record_class).at(destination).outside({1, head});
}

std::vector<seq_range> delivery_state::settled(const std::string& record_class) const {
  auto c = classes_.find(record_class);
  if (c == classes_.end() || c->second.empty())
    return {};
  return common(record_class, c->second.begin()->second.ranges());
}

std::vector<seq_range> delivery_state::delivered(const std::string& destination,
                                                 const std::string& record_class) const {
  return wanted(destination, record_class) ? classes_.at(record_class).at(destination).ranges()
                                           : std::vector<seq_range>{};
}

} // namespace holdfast::store
