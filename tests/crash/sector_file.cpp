#include "tests/crash/disk.hpp"

#include <algorithm>

namespace holdfast::crash {

const char* name_of(loss l) {
  constexpr const char* names[loss_kinds] = {"nothing lost", "all lost", "tail lost", "writes lost", "pages torn",
                                             "sectors torn", "one page lost", "one page kept"};
  return names[static_cast<int>(l)];
}

void sector_file::write(std::uint64_t number, std::uint64_t offset, std::string_view data) {
  const auto end = offset + data.size();
  for (auto at = offset; at < end;) {
    const auto next = std::min(end, (at / sector_bytes + 1) * sector_bytes);
    pieces_.push_back({number, at, data.substr(at - offset, next - at)});
    at = next;
  }
  const auto now = lengths_.empty() ? length_ : lengths_.back().bytes;
  if (end > now)
    lengths_.push_back({number, end});
}

void sector_file::resize(std::uint64_t number, std::uint64_t length) {
  if (length < (lengths_.empty() ? length_ : lengths_.back().bytes))
    throw std::runtime_error("failed to model the disk: data.mdb was made shorter");
  lengths_.push_back({number, length});
}

void sector_file::apply(std::string& to, const piece& p) {
  if (p.offset >= to.size())
    return;
  const auto n = std::min<std::uint64_t>(p.data.size(), to.size() - p.offset);
  std::copy_n(p.data.data(), n, to.data() + p.offset);
}

void sector_file::synced(std::uint64_t before) {
  while (!lengths_.empty() && lengths_.front().number < before) {
    length_ = lengths_.front().bytes;
    lengths_.erase(lengths_.begin());
  }
  const auto end = std::find_if(pieces_.begin(), pieces_.end(), [&](auto& p) { return p.number >= before; });
  for (auto p = pieces_.begin(); p != end; ++p) {
    on_disk_.resize(std::max(on_disk_.size(), p->offset + p->data.size()));
    apply(on_disk_, *p);
  }
  pieces_.erase(pieces_.begin(), end);
}

// Its sectors, with what was in them before.
void sector_file::stable(std::uint64_t number) {
  std::set<std::uint64_t> sectors;
  for (auto& p : pieces_)
    if (p.number == number)
      sectors.insert(p.sector());
  std::erase_if(pieces_, [&](auto& p) {
    if (p.number > number || !sectors.contains(p.sector()))
      return false;
    on_disk_.resize(std::max(on_disk_.size(), p.offset + p.data.size()));
    apply(on_disk_, p);
    return true;
  });
}

// For each unit (a sector, a page): its first so many writes.
std::vector<bool> sector_file::versions(std::uint64_t unit, std::mt19937_64& random) const {
  std::map<std::uint64_t, std::vector<std::size_t>> of_unit;
  for (std::size_t i = 0; i < pieces_.size(); ++i)
    of_unit[pieces_[i].offset / unit].push_back(i);
  std::vector<bool> out(pieces_.size());
  for (auto& [ignored, list] : of_unit) {
    std::vector<std::uint64_t> numbers;  // of the writes to it
    for (auto i : list)
      if (numbers.empty() || numbers.back() != pieces_[i].number)
        numbers.push_back(pieces_[i].number);
    const auto kept = random() % (numbers.size() + 1);
    for (auto i : list)
      out[i] = kept > 0 && pieces_[i].number <= numbers[kept - 1];
  }
  return out;
}

std::vector<bool> sector_file::chosen(loss l, std::mt19937_64& random) const {
  std::vector<bool> out(pieces_.size(), l == loss::nothing);
  if (pieces_.empty())
    return out;
  const auto page = [&](std::size_t i) { return pieces_[i].offset / page_bytes; };
  const auto victim = random() % pieces_.size();
  switch (l) {
    case loss::tail:
      for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = pieces_[i].number < pieces_[victim].number;
      break;
    case loss::writes: {  // in order within a sector: what is lost takes later writes to its sectors with it
      std::map<std::uint64_t, bool> lost;
      std::set<std::uint64_t> gone;
      for (std::size_t i = 0; i < out.size(); ++i) {
        const auto [at, fresh] = lost.try_emplace(pieces_[i].number, false);
        if (fresh)
          at->second = random() % 2 == 0;
        if (at->second)
          gone.insert(pieces_[i].sector());
        out[i] = !gone.contains(pieces_[i].sector());
      }
      break;
    }
    case loss::pages: return versions(page_bytes, random);
    case loss::sectors: return versions(sector_bytes, random);
    case loss::one_page:
    case loss::lone_page:
      for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = (page(i) == page(victim)) == (l == loss::lone_page);
      break;
    default: break;
  }
  return out;
}

std::uint64_t sector_file::cut_length(loss l, std::mt19937_64& random) const {
  if (lengths_.empty() || l == loss::everything)
    return length_;
  const auto longest = lengths_.back().bytes;
  if (l == loss::nothing || random() % 2 == 0)
    return longest;
  if (random() % 2 == 0)
    return lengths_[random() % lengths_.size()].bytes;
  return length_ + random() % ((longest - length_) / page_bytes + 1) * page_bytes;
}

std::string sector_file::content(loss l, std::mt19937_64& random) const {
  const auto which = chosen(l, random);
  auto out = on_disk_;
  const auto known = on_disk_.size();
  out.resize(cut_length(l, random));
  if (l == loss::sectors && out.size() > known)  // blocks that were given to the file and never written
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(known), out.end(), '\xA5');
  for (std::size_t i = 0; i < pieces_.size(); ++i)
    if (which[i])
      apply(out, pieces_[i]);
  return out;
}

} // namespace holdfast::crash
