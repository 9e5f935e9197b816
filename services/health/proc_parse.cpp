#include "services/health/proc.hpp"

#include <array>
#include <charconv>

namespace holdfast::health::proc {

namespace {

constexpr std::string_view blanks = " \t";

/// Cuts the next word off the front.
std::string_view word(std::string_view& rest) {
  const auto begin = rest.find_first_not_of(blanks);
  if (begin == std::string_view::npos) {
    rest = {};
    return {};
  }
  const auto end = std::min(rest.find_first_of(blanks, begin), rest.size());
  const auto w = rest.substr(begin, end - begin);
  rest.remove_prefix(end);
  return w;
}

std::string_view line(std::string_view& rest) {
  const auto end = std::min(rest.find('\n'), rest.size());
  const auto l = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return l;
}

template <class T> std::optional<T> number(std::string_view text) {
  T n{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (failed != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return n;
}

/// The number after "<name>:" at the start of a line.
std::optional<std::uint64_t> field(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    auto l = line(text);
    if (l.size() > name.size() && l.starts_with(name) && l[name.size()] == ':') {
      l.remove_prefix(name.size() + 1);
      return number<std::uint64_t>(word(l));
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> kilobytes(std::string_view text, std::string_view name) {
  const auto n = field(text, name);
  if (!n || *n > UINT64_MAX / 1024)
    return std::nullopt;
  return *n * 1024;
}

} // namespace

std::optional<stat> parse_stat(std::string_view text) {
  // The second field is the command in brackets and may hold blanks and brackets itself: count from the last one.
  const auto bracket = text.rfind(')');
  if (bracket == std::string_view::npos)
    return std::nullopt;
  auto rest = text.substr(bracket + 1);
  std::array<std::string_view, 22> fields;  // fields[0] is the third of proc(5)
  for (auto& f : fields)
    f = word(rest);
  const auto user = number<std::uint64_t>(fields[11]);
  const auto system = number<std::uint64_t>(fields[12]);
  const auto threads = number<std::uint64_t>(fields[17]);
  const auto start = number<std::uint64_t>(fields[19]);
  const auto resident = number<std::uint64_t>(fields[21]);
  if (!user || !system || !threads || !start || !resident)
    return std::nullopt;
  return stat{*user + *system, *start, *threads, *resident};
}

std::optional<std::uint64_t> parse_pss(std::string_view text) { return kilobytes(text, "Pss"); }

std::optional<io> parse_io(std::string_view text) {
  const auto read = field(text, "read_bytes");
  const auto written = field(text, "write_bytes");
  if (!read || !written)
    return std::nullopt;
  return io{*read, *written};
}

std::optional<memory> parse_meminfo(std::string_view text) {
  const auto total = kilobytes(text, "MemTotal");
  const auto available = kilobytes(text, "MemAvailable");
  if (!total || !available || *total == 0)
    return std::nullopt;
  return memory{*total, *available};
}

std::optional<load> parse_loadavg(std::string_view text) {
  const auto one = number<double>(word(text));
  const auto five = number<double>(word(text));
  const auto fifteen = number<double>(word(text));
  if (!one || !five || !fifteen)
    return std::nullopt;
  return load{*one, *five, *fifteen};
}

std::vector<interface> parse_net_dev(std::string_view text) {
  std::vector<interface> out;
  while (!text.empty()) {
    auto l = line(text);
    // The two header lines have no colon. Between name and counters there need not be a blank.
    const auto colon = l.rfind(':');
    if (colon == std::string_view::npos)
      continue;
    auto head = l.substr(0, colon);
    l.remove_prefix(colon + 1);
    std::array<std::string_view, 9> counters;
    for (auto& c : counters)
      c = word(l);
    const auto received = number<std::uint64_t>(counters[0]);
    const auto sent = number<std::uint64_t>(counters[8]);
    const auto name = word(head);
    if (received && sent && !name.empty())
      out.push_back({std::string(name), *received, *sent});
  }
  return out;
}

} // namespace holdfast::health::proc
