#include "common/config/units.hpp"

#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <limits>

namespace holdfast::config {

namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<unit, 5> duration_units{
  {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1'000}, {"ms", 1}}};

// Binary units first and largest first: to_text takes the first that divides.
constexpr std::array<unit, 11> byte_units{{{"TiB", 1ULL << 40},
                                           {"GiB", 1ULL << 30},
                                           {"MiB", 1ULL << 20},
                                           {"KiB", 1ULL << 10},
                                           {"TB", 1'000'000'000'000},
                                           {"GB", 1'000'000'000},
                                           {"MB", 1'000'000},
                                           {"kB", 1'000},
                                           {"KB", 1'000},
                                           {"B", 1},
                                           {"", 1}}};

constexpr std::size_t binary_units = 4;
constexpr std::size_t max_host_length = 253; // RFC 1035

struct quantity {
  std::uint64_t number;
  std::string_view unit;
};

std::optional<quantity> split(std::string_view text) {
  quantity result{};
  const auto* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, result.number);
  if (error != std::errc{})
    return std::nullopt;
  result.unit = text.substr(static_cast<std::size_t>(rest - text.data()));
  return result;
}

template <std::size_t N>
std::optional<std::uint64_t> scaled(quantity q, const std::array<unit, N>& units) {
  for (const auto& u : units) {
    if (u.name != q.unit)
      continue;
    if (q.number > std::numeric_limits<std::uint64_t>::max() / u.factor)
      return std::nullopt;
    return q.number * u.factor;
  }
  return std::nullopt;
}

bool is_host_character(char c, bool ipv6) {
  const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  // '%' is an IPv6 scope: fe80::1%eth0.
  return alphanumeric || c == '.' || c == '-' || c == '_' || (ipv6 && (c == ':' || c == '%'));
}

bool is_host(std::string_view host, bool ipv6) {
  if (host.empty() || host.size() > max_host_length)
    return false;
  for (char c : host)
    if (!is_host_character(c, ipv6))
      return false;
  return true;
}

} // namespace

std::optional<milliseconds> parse_duration(std::string_view text) {
  auto q = split(text);
  if (!q)
    return std::nullopt;
  if (q->unit.empty())
    return q->number == 0 ? std::optional{milliseconds{0}} : std::nullopt;
  auto count = scaled(*q, duration_units);
  if (!count || *count > static_cast<std::uint64_t>(milliseconds::max().count()))
    return std::nullopt;
  return milliseconds{static_cast<milliseconds::rep>(*count)};
}

std::optional<bytes> parse_bytes(std::string_view text) {
  auto q = split(text);
  if (!q)
    return std::nullopt;
  auto count = scaled(*q, byte_units);
  return count ? std::optional{bytes{*count}} : std::nullopt;
}

std::optional<endpoint> parse_endpoint(std::string_view text) {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return std::nullopt;
  auto host = text.substr(0, colon);
  const bool ipv6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (ipv6)
    host = host.substr(1, host.size() - 2);
  auto port = split(text.substr(colon + 1));
  if (!is_host(host, ipv6) || !port || !port->unit.empty() || port->number == 0 || port->number > 65535)
    return std::nullopt;
  return endpoint{std::string{host}, static_cast<std::uint16_t>(port->number)};
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal)
    text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
  return error == std::errc{} && rest == end ? std::optional{value} : std::nullopt;
}

unsigned ip_version(std::string_view text) {
  in6_addr unused{};
  const auto is = [&](int family, std::string_view address) {
    return address.find('\0') == std::string_view::npos
           && ::inet_pton(family, std::string{address}.c_str(), &unused) == 1;
  };
  if (is(AF_INET, text))
    return 4;
  const bool empty_scope = text.ends_with('%');
  return !empty_scope && is(AF_INET6, text.substr(0, text.find('%'))) ? 6 : 0;
}

std::string to_text(milliseconds value) {
  const auto count = static_cast<std::uint64_t>(value.count());
  if (count == 0)
    return "0";
  for (const auto& u : duration_units)
    if (count % u.factor == 0)
      return std::to_string(count / u.factor) + std::string{u.name};
  return std::to_string(count) + "ms";
}

std::string to_text(bytes value) {
  for (std::size_t i = 0; i < binary_units; ++i)
    if (value.count != 0 && value.count % byte_units[i].factor == 0)
      return std::to_string(value.count / byte_units[i].factor) + std::string{byte_units[i].name};
  return std::to_string(value.count);
}

std::string endpoint::text() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

} // namespace holdfast::config
