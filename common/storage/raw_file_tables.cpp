// Which tables a file has, and where they begin.

#include "common/storage/raw_file.hpp"
#include "common/storage/raw_layout.hpp"

#include <algorithm>

namespace holdfast::storage {

using namespace layout;

namespace {
constexpr unsigned most_name_pages = 256;
} // namespace

raw_file::database raw_file::described(std::string_view record) {
  return {at<std::uint64_t>(record, 40),
          {at<std::uint64_t>(record, 8), at<std::uint64_t>(record, 16), at<std::uint64_t>(record, 24),
           at<std::uint64_t>(record, 32), at<std::uint16_t>(record, 6)},
          at<std::uint16_t>(record, 4) == 0};
}

// Below a meta page nothing else is to be found: there the record's size and flags may be what the disk changed.
raw_file::databases raw_file::named_in(const page& p, bool nothing_else) const {
  databases out;
  for (auto& n : p.nodes) {
    const auto place = static_cast<std::size_t>(n.value.data() - p.bytes.data());
    const bool plain = n.flags == sub_database && n.value.size() == database_bytes;
    if (!(plain || nothing_else) || p.bytes.size() - place < database_bytes)
      continue;
    auto found = described(std::string_view(p.bytes).substr(place, database_bytes));
    found.plain = found.plain && plain;
    out[std::string(n.key)] = found;
  }
  return out;
}

raw_file::databases raw_file::named_below(std::uint64_t root, const stopper& stop) const {
  databases out;
  unsigned most = most_name_pages;
  const std::function<void(std::uint64_t, unsigned)> look = [&](std::uint64_t number, unsigned depth) {
    const auto p = depth <= 3 && most-- > 0 && !ended(stop) ? read(number) : std::nullopt;
    if (p && p->flags == leaf)
      out.merge(named_in(*p, true));
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
                                            std::uint64_t& most, const stopper& stop) {
  struct start {
    std::uint64_t transaction;
    std::uint64_t last_page;
    database main;
    database free;
  };
  std::vector<start> starts;
  for (std::uint64_t number : {0U, 1U}) {
    std::string meta(header_bytes + 136, '\0');
    if (!ended(stop) && read_all(meta.data(), meta.size(), number * page_bytes_)
        && at<std::uint32_t>(meta, 16) == magic)
      starts.push_back({at<std::uint64_t>(meta, 144), at<std::uint64_t>(meta, 136),
                        described(std::string_view(meta).substr(88)), described(std::string_view(meta).substr(40))});
  }
  for (auto& s : starts)
    s.free.plain = true;  // LMDB keeps those of the file there
  std::sort(starts.begin(), starts.end(), [](auto& a, auto& b) { return a.transaction > b.transaction; });
  const bool in_turn = starts.size() == 2 && starts[0].transaction - starts[1].transaction == 1;
  databases best;
  for (auto& s : starts) {
    auto found = named_below(s.main.root, stop);
    const auto w = worth(found);
    seen_.assign(pages_, false);  // it may have walked
    if (w <= most)
      continue;
    most = w;
    main_ = s.main;
    free_ = s.free;
    last_page_ = s.last_page;
    best = std::move(found);
    newest_ = in_turn && &s == &starts.front();
    if (newest_)
      break;
  }
  return best;
}

raw_file::databases raw_file::tables(const std::function<std::uint64_t(const databases&)>& worth,
                                     const stopper& stop, bool older_will_do) {
  std::uint64_t most = 0;
  auto best = of_meta_pages(worth, most, stop);
  const bool enough = newest_ || (older_will_do && most > 0);
  for (std::uint64_t number = 2; !enough && number < pages_ && !ended(stop); ++number)
    if (const auto p = read(number, true))
      if (auto found = named_in(*p, false); !found.empty()) {
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
