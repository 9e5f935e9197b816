#include "common/storage/raw_file.hpp"

#include "common/storage/lmdb.hpp"
#include "common/storage/raw_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::storage {

using namespace layout;

namespace {
constexpr std::size_t most_key_bytes = 511;
constexpr unsigned most_depth = 32;  // LMDB's
constexpr std::uint64_t most_doubtful_bytes = 64 << 20;  // of a value that is longer than its pages
} // namespace

raw_file::raw_file(const std::string& path, reader how)
    : how_(std::move(how)), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat status {};
  if (fd_ < 0 || ::fstat(fd_, &status) != 0)
    throw error(errno, fmt::format("failed to open {}: {}", path, std::strerror(errno)));
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  for (std::uint64_t offset : {0U, 512U, 4096U, 32768U}) {  // of any meta page
    std::string meta(header_bytes + 136, '\0');
    if (!read_all(meta.data(), meta.size(), offset) || at<std::uint32_t>(meta, 16) != magic)
      continue;
    const auto size = at<std::uint32_t>(meta, 40);
    if (std::has_single_bit(size) && size >= 512 && size <= 32768) {
      page_bytes_ = size;
      break;
    }
  }
  pages_ = bytes_ / page_bytes_;
  end_ = pages_;
  seen_.resize(pages_);
}

raw_file::~raw_file() {
  if (fd_ >= 0)
    ::close(fd_);
}

bool raw_file::read_all(char* to, std::size_t bytes, std::uint64_t offset) const {
  while (bytes > 0) {
    const auto n = how_(fd_, to, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      failed_ = errno;
    if (n <= 0)
      return false;
    to += n;
    bytes -= static_cast<std::size_t>(n);
    offset += static_cast<std::uint64_t>(n);
  }
  return true;
}

std::optional<raw_file::page> raw_file::read(std::uint64_t number, bool leaf_only) const {
  if (number < 2 || number >= pages_)
    return std::nullopt;
  page p{std::string(page_bytes_, '\0')};
  if (!read_all(p.bytes.data(), page_bytes_, number * page_bytes_) || at<std::uint64_t>(p.bytes, 0) != number)
    return std::nullopt;
  const auto flags = at<std::uint16_t>(p.bytes, 10);
  p.flags = flags & static_cast<std::uint16_t>(~dirty);
  p.whole = (flags & dirty) == 0;  // LMDB clears it before it writes, and takes such a page for one in its own memory
  const std::size_t lower = at<std::uint16_t>(p.bytes, 12);
  const std::size_t upper = at<std::uint16_t>(p.bytes, 14);
  if ((p.flags != leaf && (leaf_only || p.flags != branch)) || lower < header_bytes || lower > upper
      || upper > page_bytes_ || lower % 2 != 0)
    return std::nullopt;
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (std::size_t i = header_bytes; i < lower; i += 2) {
    const std::size_t begin = at<std::uint16_t>(p.bytes, i);
    auto n = begin >= upper ? node_at(p, begin) : std::nullopt;
    p.whole = p.whole && n;
    if (!n)
      continue;
    p.nodes.push_back(*n);
    places.emplace_back(begin, begin + node_bytes + n->key.size() + n->value.size());
  }
  p.whole = p.whole && apart(std::move(places));
  return p;
}

// LMDB moves what lies behind a node when it deletes it, by as much as the node says it has.
bool raw_file::apart(std::vector<std::pair<std::size_t, std::size_t>> places) {
  std::sort(places.begin(), places.end());
  for (std::size_t i = 1; i < places.size(); ++i)
    if (places[i].first < places[i - 1].second)
      return false;
  return true;
}

std::optional<raw_file::node> raw_file::node_at(const page& p, std::size_t begin) const {
  const std::string_view bytes = p.bytes;
  if (begin + node_bytes > bytes.size())
    return std::nullopt;
  const std::uint64_t low = at<std::uint32_t>(bytes, begin);
  const auto high = at<std::uint16_t>(bytes, begin + 4);
  const std::size_t key_bytes = at<std::uint16_t>(bytes, begin + 6);
  const auto rest = bytes.substr(begin + node_bytes);
  if (key_bytes > most_key_bytes || key_bytes > rest.size())
    return std::nullopt;
  if (p.flags == branch)
    return node{rest.substr(0, key_bytes), {}, low | std::uint64_t{high} << 32, 0, 0};
  const bool elsewhere = (high & big_value) != 0;
  const std::size_t value_bytes = elsewhere ? sizeof(std::uint64_t) : low;
  if (value_bytes > rest.size() - key_bytes || key_bytes == 0)
    return std::nullopt;
  const auto value = rest.substr(key_bytes, value_bytes);
  return node{rest.substr(0, key_bytes), value, elsewhere ? at<std::uint64_t>(value, 0) : no_page,
              static_cast<std::uint32_t>(low), high};
}

std::optional<std::string_view> raw_file::value_of(const node& n) {
  if ((n.flags & big_value) == 0)
    return n.value;
  const auto needed = pages_of(n.bytes, page_bytes_);
  if (n.child < 2 || n.child >= end_ || needed > end_ - n.child)
    return std::nullopt;
  if (look_ != look::keys)
    return long_value(n, needed);
  counted_.values += needed;
  return take_pages(n.child, needed) ? std::optional(n.value) : std::nullopt;
}

std::optional<std::string_view> raw_file::long_value(const node& n, std::uint64_t needed) {
  std::array<char, header_bytes> header;
  const auto offset = n.child * page_bytes_;
  if (!read_all(header.data(), header.size(), offset))
    return std::nullopt;
  const std::string_view h(header.data(), header.size());
  const auto flags = at<std::uint16_t>(h, 10);
  const std::uint64_t taken = at<std::uint32_t>(h, 12);
  const bool fits = taken >= needed;  // a row that became shorter may keep its pages
  if (at<std::uint64_t>(h, 0) != n.child || (flags & ~dirty) != overflow)
    return std::nullopt;
  if (look_ == look::rows && (flags != overflow || !fits || taken > end_ - n.child || !take_pages(n.child, taken)))
    return std::nullopt;
  // Which of the two sizes the disk changed, only the value's checksum tells. Nor are pages its own that may not be.
  if (look_ == look::salvage && !fits && n.bytes > most_doubtful_bytes)
    return std::nullopt;
  if (look_ == look::salvage && fits)
    take_pages(n.child, needed);
  counted_.values += taken;
  value_.resize(n.bytes);
  if (!read_all(value_.data(), value_.size(), offset + header_bytes))
    return std::nullopt;
  return value_;
}

// Returns whether nobody had one of them. Behind the first that somebody had it takes none: each of many values may
// claim the whole file.
bool raw_file::take_pages(std::uint64_t first, std::uint64_t count) {
  for (auto page = first; page < first + count; ++page) {
    if (seen_[page])
      return false;
    seen_[page] = true;
  }
  return true;
}

bool raw_file::walk(const database& d, const visitor& visit, const stopper& stop) {
  return walk(d, {.visit = visit, .stop = stop});
}

bool raw_file::walk(const database& d, course way) {
  counted_ = {};
  const bool all = d.root == no_page || (descend(d.root, {}, std::nullopt, 0, way) && !way.stopped);
  return all && d.plain && counted_ == d.says;
}

bool raw_file::before(std::string_view a, std::string_view b, order by) {
  if (by == order::bytes || a.size() != sizeof(std::uint64_t) || b.size() != a.size())
    return a < b;
  return at<std::uint64_t>(a, 0) < at<std::uint64_t>(b, 0);
}

bool raw_file::descend(std::uint64_t number, std::string_view from, std::optional<std::string_view> to, unsigned depth,
                       course& way) {
  if (depth > most_depth || number >= end_ || seen_[number] || !way.goes_on())
    return false;
  const auto p = read(number);
  if (!p)
    return false;
  seen_[number] = true;
  ++(p->flags == branch ? counted_.branches : counted_.leaves);
  counted_.depth = std::max(counted_.depth, depth + 1);
  bool whole = p->whole;
  bool all_in_place = true;
  auto last = std::string(from);
  bool first = true;
  for (std::size_t i = 0; i < p->nodes.size() && !way.stopped; ++i) {
    auto& n = p->nodes[i];
    const auto key = p->flags == branch && i == 0 ? from : n.key;  // the first key of a branch means "from the left"
    const bool ascends = first ? !before(key, last, way.by) : before(last, key, way.by);
    if (!ascends || (to && !before(key, *to, way.by))) {
      all_in_place = whole = false;
      continue;
    }
    first = false;
    last = key;
    if (p->flags == branch) {
      const auto end = i + 1 < p->nodes.size() ? std::optional(p->nodes[i + 1].key) : to;
      whole = descend(n.child, key, end, depth + 1, way) && whole;
    } else if (const auto value = (n.flags & big_value) == 0 || way.goes_on() ? value_of(n) : std::nullopt) {
      whole = whole && (n.flags & ~big_value) == kind_;
      ++counted_.entries;
      way.visit(n.key, *value);
    } else {
      whole = false;
    }
  }
  if (p->flags != branch && !all_in_place)
    seen_[number] = false;  // strays() gives what was left out
  return whole;
}

void raw_file::strays(const visitor& visit, bool all, const stopper& stop) {
  for (std::uint64_t number = 2; number < pages_; ++number) {
    if (seen_[number] && !all)
      continue;
    if (ended(stop))
      return;
    const auto p = read(number, true);
    for (std::size_t i = 0; p && i < p->nodes.size(); ++i) {
      const auto& n = p->nodes[i];
      if ((n.flags & big_value) != 0 && ended(stop))
        return;
      if (const auto value = value_of(n))
        visit(n.key, *value);
    }
  }
}

// Another program's tables may have pages of other kinds; of ours, one name may be damaged.
bool raw_file::ours(const databases& found) {
  const auto most_of = [&](std::initializer_list<const char*> names) {
    return std::count_if(names.begin(), names.end(), [&](auto name) { return found.contains(name); }) >= 3;
  };
  return most_of({"meta", "classes", "producers", "delivery"}) || most_of({"meta", "origins", "batches", "arrivals"});
}

bool raw_file::sound(const stopper& stop) {
  return looks_sound(stop) || failed_ != 0;  // what the disk did not give once, it may give the next time
}

bool raw_file::looks_sound(const stopper& stop) {
  std::uint64_t most = 0;
  const auto all = of_meta_pages([](auto& found) { return ours(found) ? 1 : 0; }, most, stop);
  if (!ours(all))
    return true;
  if (!newest_)
    return false;
  end_ = std::min(pages_, last_page_ + 1);
  bool stopped = false;
  const stopper hurried = [&] { return stopped = stopped || stop(); };
  const visitor pass = [](std::string_view, std::string_view) {};
  bool whole = true;
  for (auto& [name, where] : all) {
    look_ = name == "batches" || name.starts_with("class/") ? look::keys : look::rows;
    whole = walk(where, pass, hurried) && whole;
  }
  look_ = look::rows;
  kind_ = sub_database;
  whole = walk(*main_, pass, hurried) && whole;
  kind_ = 0;
  whole = walk_free(hurried) == free_list::sound && whole;
  end_ = pages_;
  look_ = look::salvage;
  return stopped || whole;
}

} // namespace holdfast::storage
