#include "common/storage/raw_file.hpp"

#include "common/storage/lmdb.hpp"

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

namespace {

constexpr std::uint32_t magic = 0xBEEFC0DE;
constexpr std::size_t header_bytes = 16;
constexpr std::size_t node_bytes = 8;
constexpr std::size_t database_bytes = 48;
constexpr std::size_t most_key_bytes = 511;
constexpr unsigned most_depth = 32;  // LMDB's
constexpr std::uint16_t branch = 0x01;
constexpr std::uint16_t leaf = 0x02;
constexpr std::uint16_t overflow = 0x04;
constexpr std::uint16_t dirty = 0x10;
constexpr std::uint16_t big_value = 0x01;
constexpr std::uint16_t sub_database = 0x02;
constexpr std::uint64_t no_page = UINT64_MAX;
constexpr unsigned most_name_pages = 256;

template <class T> T at(std::string_view bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

bool read_all(int fd, char* to, std::size_t bytes, std::uint64_t offset) {
  while (bytes > 0) {
    const auto n = ::pread(fd, to, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    to += n;
    bytes -= static_cast<std::size_t>(n);
    offset += static_cast<std::uint64_t>(n);
  }
  return true;
}

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

// The newer one's, if it leads to any. Where the two are not of transactions that follow each other, either number may be
// what the disk changed: then it is what is worth more.
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
