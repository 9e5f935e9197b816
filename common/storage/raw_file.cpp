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
} // namespace

raw_file::raw_file(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat status {};
  if (fd_ < 0 || ::fstat(fd_, &status) != 0)
    throw error(errno, fmt::format("failed to open {}: {}", path, std::strerror(errno)));
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  for (std::uint64_t offset : {0U, 512U, 4096U, 32768U}) {  // of any meta page
    std::string meta(header_bytes + 136, '\0');
    if (!read_all(fd_, meta.data(), meta.size(), offset) || at<std::uint32_t>(meta, 16) != magic)
      continue;
    const auto size = at<std::uint32_t>(meta, 40);
    if (std::has_single_bit(size) && size >= 512 && size <= 32768) {
      page_bytes_ = size;
      break;
    }
  }
  pages_ = bytes_ / page_bytes_;
  seen_.resize(pages_);
}

raw_file::~raw_file() {
  if (fd_ >= 0)
    ::close(fd_);
}

std::optional<raw_file::page> raw_file::read(std::uint64_t number, bool leaf_only) const {
  if (number < 2 || number >= pages_)
    return std::nullopt;
  page p{std::string(page_bytes_, '\0')};
  if (!read_all(fd_, p.bytes.data(), page_bytes_, number * page_bytes_) || at<std::uint64_t>(p.bytes, 0) != number)
    return std::nullopt;
  const auto flags = at<std::uint16_t>(p.bytes, 10);
  p.flags = flags & static_cast<std::uint16_t>(~dirty);
  p.whole = (flags & dirty) == 0;  // LMDB clears it before it writes, and takes such a page for one in its own memory
  const std::size_t lower = at<std::uint16_t>(p.bytes, 12);
  const std::size_t upper = at<std::uint16_t>(p.bytes, 14);
  if ((p.flags != leaf && (leaf_only || p.flags != branch)) || lower < header_bytes || lower > upper
      || upper > page_bytes_ || lower % 2 != 0)
    return std::nullopt;
  for (std::size_t i = header_bytes; i < lower; i += 2) {
    const std::size_t begin = at<std::uint16_t>(p.bytes, i);
    auto n = begin >= upper ? node_at(p, begin) : std::nullopt;
    if (n)
      p.nodes.push_back(*n);
    p.whole = p.whole && n;
  }
  return p;
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
  std::array<char, header_bytes> header;
  const auto most = pages_ * page_bytes_;
  if (n.child < 2 || n.child >= pages_ || n.bytes > most - n.child * page_bytes_ - header_bytes)
    return std::nullopt;
  for (auto p = n.child; p <= n.child + (n.bytes + header_bytes - 1) / page_bytes_; ++p)
    seen_[p] = true;
  if (!values_)
    return n.value;
  const auto offset = n.child * page_bytes_;
  if (!read_all(fd_, header.data(), header.size(), offset))
    return std::nullopt;
  const std::string_view h(header.data(), header.size());
  if (at<std::uint64_t>(h, 0) != n.child || (at<std::uint16_t>(h, 10) & ~dirty) != overflow)
    return std::nullopt;
  value_.resize(n.bytes);
  if (!read_all(fd_, value_.data(), value_.size(), offset + header_bytes))
    return std::nullopt;
  return value_;
}

bool raw_file::walk(const database& d, const visitor& visit) { return walk(d, visit, order::bytes); }

bool raw_file::walk(const database& d, const visitor& visit, order by) {
  if (d.root == no_page)
    return d.entries == 0;
  std::uint64_t n = 0;
  bool go_on = true;
  const auto counted = [&](std::string_view key, std::string_view value) {
    ++n;
    return visit(key, value);
  };
  return descend(d.root, {}, std::nullopt, 0, counted, by, go_on) && go_on && n == d.entries;
}

bool raw_file::before(std::string_view a, std::string_view b, order by) {
  if (by == order::bytes || a.size() != sizeof(std::uint64_t) || b.size() != a.size())
    return a < b;
  return at<std::uint64_t>(a, 0) < at<std::uint64_t>(b, 0);
}

bool raw_file::descend(std::uint64_t number, std::string_view from, std::optional<std::string_view> to, unsigned depth,
                       const visitor& visit, order by, bool& go_on) {
  if (depth > most_depth || number >= pages_ || seen_[number])
    return false;
  const auto p = read(number);
  if (!p)
    return false;
  seen_[number] = true;
  bool whole = p->whole;
  bool all_in_place = true;
  auto last = std::string(from);
  bool first = true;
  for (std::size_t i = 0; i < p->nodes.size() && go_on; ++i) {
    auto& n = p->nodes[i];
    const auto key = p->flags == branch && i == 0 ? from : n.key;  // the first key of a branch means "from the left"
    const bool ascends = first ? !before(key, last, by) : before(last, key, by);
    if (!ascends || (to && !before(key, *to, by))) {
      all_in_place = whole = false;
      continue;
    }
    first = false;
    last = key;
    if (p->flags == branch) {
      const auto end = i + 1 < p->nodes.size() ? std::optional(p->nodes[i + 1].key) : to;
      whole = descend(n.child, key, end, depth + 1, visit, by, go_on) && whole;
    } else if (const auto value = value_of(n)) {
      go_on = visit(n.key, *value);
    } else {
      whole = false;
    }
  }
  if (p->flags != branch && !all_in_place)
    seen_[number] = false;  // strays() gives what was left out
  return whole;
}

bool raw_file::walk_free() {
  bool alone = true;
  return free_ && walk(*free_, [&](std::string_view, std::string_view pages) {
    for (std::size_t i = sizeof(std::uint64_t); i + sizeof(std::uint64_t) <= pages.size(); i += sizeof(std::uint64_t))
      if (const auto number = at<std::uint64_t>(pages, i); number < pages_) {  // the first tells how many
        alone = alone && !seen_[number];
        seen_[number] = true;
      }
    return true;
  }, order::numbers) && alone;
}

void raw_file::strays(const visitor& visit, bool all) {
  for (std::uint64_t number = 2; number < pages_; ++number) {
    const auto p = seen_[number] && !all ? std::nullopt : read(number, true);
    for (std::size_t i = 0; p && i < p->nodes.size(); ++i)
      if (const auto value = value_of(p->nodes[i]); value && !visit(p->nodes[i].key, *value))
        return;
  }
}

// Another program's tables may have pages of other kinds.
bool raw_file::sound(const std::function<bool()>& stop) {
  std::uint64_t most = 0;
  const auto all = of_meta_pages([](auto& found) { return found.contains("meta") ? 1 : 0; }, most);
  if (!all.contains("meta") || !(all.contains("delivery") || all.contains("origins")))
    return true;
  if (!newest_)
    return false;
  values_ = false;
  bool stopped = false;
  bool whole = true;
  std::uint64_t n = 0;
  for (auto& [name, where] : all)
    whole = walk(where, [&](std::string_view, std::string_view) {
      stopped = stopped || (++n % 256 == 0 && stop());
      return !stopped;
    }) && whole;
  values_ = true;
  const auto pass = [](std::string_view, std::string_view) { return true; };
  return stopped || (whole && walk(*main_, pass) && walk_free());
}

} // namespace holdfast::storage
