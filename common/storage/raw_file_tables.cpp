// Which tables a file has, and where they begin.

#include "common/storage/raw_file.hpp"
#include "common/storage/raw_layout.hpp"

#include <algorithm>

namespace holdfast::storage {

using namespace layout;

namespace {
constexpr unsigned most_name_pages = 256;
} // namespace

raw_file::databases raw_file::named_in(const page& p) const {
  databases out;
  for (auto& n : p.nodes)
    if (n.flags == sub_database && n.value.size() == database_bytes)
      out[std::string(n.key)] = {at<std::uint64_t>(n.value, 40), at<std::uint64_t>(n.value, 32)};
  return out;
}

raw_file::databases raw_file::named_below(std::uint64_t root) const {
  databases out;
  unsigned most = most_name_pages;
  const std::function<void(std::uint64_t, unsigned)> look = [&](std::uint64_t number, unsigned depth) {
    const auto p = depth <= 3 && most-- > 0 ? read(number) : std::nullopt;
    if (p && p->flags == leaf)
      out.merge(named_in(*p));
    for (std::size_t i = 0; p && p->flags == branch && i < p->nodes.size(); ++i)
      if (most > 0)
        look(p->nodes[i].child, depth + 1);
  };
  look(root, 0);
  return out;
}

// The newer one's, if it leads to any. Where the two are not of transactions that follow each other, either number may
// be what the disk changed: then it is what is worth more.
raw_file::databases raw_file::of_meta_pages(const std::function<std::uint64_t(const databases&)>& worth,
                                            std::uint64_t& most) {
  struct start {
    std::uint64_t transaction;
    database main;
    database free;
  };
  std::vector<start> starts;
  for (std::uint64_t number : {0U, 1U}) {
    std::string meta(header_bytes + 136, '\0');
    if (read_all(fd_, meta.data(), meta.size(), number * page_bytes_) && at<std::uint32_t>(meta, 16) == magic)
      starts.push_back({at<std::uint64_t>(meta, 144),
                        {at<std::uint64_t>(meta, 128), at<std::uint64_t>(meta, 120)},
                        {at<std::uint64_t>(meta, 80), at<std::uint64_t>(meta, 72)}});
  }
  std::sort(starts.begin(), starts.end(), [](auto& a, auto& b) { return a.transaction > b.transaction; });
  const bool in_turn = starts.size() == 2 && starts[0].transaction - starts[1].transaction == 1;
  databases best;
  for (auto& s : starts) {
    auto found = named_below(s.main.root);
    const auto w = worth(found);
    seen_.assign(pages_, false);  // it may have walked
    if (w <= most)
      continue;
    most = w;
    main_ = s.main;
    free_ = s.free;
    best = std::move(found);
    newest_ = in_turn && &s == &starts.front();
    if (newest_)
      break;
  }
  return best;
}

raw_file::databases raw_file::tables(const std::function<std::uint64_t(const databases&)>& worth,
                                     const std::function<bool()>& stop) {
  std::uint64_t most = 0;
  auto best = of_meta_pages(worth, most);
  for (std::uint64_t number = 2; !newest_ && number < pages_ && !(number % 256 == 0 && stop && stop()); ++number)
    if (const auto p = read(number, true))
      if (auto found = named_in(*p); !found.empty()) {
        const auto w = worth(found);
        seen_.assign(pages_, false);
        if (w > most) {
          most = w;
          best = std::move(found);
          main_.reset();  // are another commit's
          free_.reset();
        }
      }
  return best;
}

} // namespace holdfast::storage
