// The list of free pages, and what it says of the age of the tables.

#include "common/storage/raw_file.hpp"
#include "common/storage/raw_layout.hpp"

#include <utility>

namespace holdfast::storage {

using namespace layout;

bool raw_file::usable(std::string_view list) {
  const auto most = list.size() / sizeof(std::uint64_t);
  const auto count = most > 0 ? at<std::uint64_t>(list, 0) : 0;
  bool good = count < most;  // a list may have more room than it uses
  auto before = no_page;
  for (std::uint64_t i = 1; good && i <= count; ++i) {
    const auto number = at<std::uint64_t>(list, i * sizeof(std::uint64_t));
    good = number >= 2 && number <= last_page_ && number < before;
    if (good && number < pages_)  // those at the end may never have been written
      good = take_pages(number, 1);
    before = number;
  }
  return good;
}

// Apart from what the tables have: what both have says that they are not of one commit, not that the list is wrong.
raw_file::free_list raw_file::walk_free(const stopper& stop) {
  if (!free_)
    return free_list::unusable;
  const auto used = std::exchange(seen_, std::vector<bool>(pages_));
  bool good = true;
  const visitor look = [&](std::string_view, std::string_view list) { good = usable(list) && good; };
  const bool all = walk(*free_, {.visit = look, .stop = stop, .by = order::numbers});
  free_pages_ = seen_;
  bool in_use = false;
  for (std::uint64_t number = 0; number < pages_; ++number) {
    in_use = in_use || (used[number] && seen_[number]);
    seen_[number] = seen_[number] || used[number];
  }
  return !all || !good ? free_list::unusable : in_use ? free_list::in_use : free_list::sound;
}

bool raw_file::leads_to_free(const database& d, const stopper& stop) const {
  std::vector<bool> been(pages_);
  std::vector<std::uint64_t> next{d.root};
  for (auto most = d.says.branches + d.says.leaves; most > 0 && !next.empty();) {
    const auto number = next.back();
    next.pop_back();
    if (number >= free_pages_.size() || been[number])
      continue;
    if (free_pages_[number])
      return true;
    if (ended(stop))
      return false;
    been[number] = true;
    --most;
    if (const auto p = read(number); p && p->flags == branch)
      for (auto& n : p->nodes)
        next.push_back(n.child);
  }
  return false;
}

} // namespace holdfast::storage
