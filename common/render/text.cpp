// Strings, bytes and times as text: the pieces below records.

#include "common/render/record_json.hpp"

#include <array>
#include <cstring>

namespace holdfast::render {

namespace {

// Bytes that end a run which can be copied as it is: control characters, quote, backslash, and all beyond ASCII.
constexpr std::array<bool, 256> special_bytes() {
  std::array<bool, 256> special{};
  for (std::size_t c = 0; c < 256; ++c)
    special[c] = c < 0x20 || c == '"' || c == '\\' || c >= 0x80;
  return special;
}
constexpr auto special = special_bytes();

std::uint8_t byte_at(std::string_view text, std::size_t i) { return static_cast<std::uint8_t>(text[i]); }

// Three bytes of base64, zeros where the text has ended.
std::uint32_t group_at(std::string_view text, std::size_t i) {
  const auto part = [&](std::size_t k) { return k < text.size() ? std::uint32_t{byte_at(text, k)} : 0u; };
  return part(i) << 16 | part(i + 1) << 8 | part(i + 2);
}

// Length of the UTF-8 character at i, or 0 where there is none: no overlong forms, surrogates or values above U+10FFFF
// (Unicode 15, table 3-7).
std::size_t character_length(std::string_view text, std::size_t i) {
  const auto lead = byte_at(text, i);
  const std::size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || i + length > text.size())
    return 0;
  const auto second = byte_at(text, i + 1);
  const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (second < low || second > high)
    return 0;
  for (std::size_t k = 2; k < length; ++k)
    if ((byte_at(text, i + k) & 0xC0) != 0x80)
      return 0;
  return length;
}

void append_escape(std::string& out, char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default:
      out += "\\u00";
      out += digits[static_cast<std::uint8_t>(c) >> 4];
      out += digits[static_cast<std::uint8_t>(c) & 15];
  }
}

void put_digits(char* to, std::uint32_t value, int width) {
  for (int i = width - 1; i >= 0; --i, value /= 10)
    to[i] = static_cast<char>('0' + value % 10);
}

struct civil {
  std::uint32_t year, month, day;
};

// Days since 1970-01-01 to a date (H. Hinnant, "chrono-compatible low-level date algorithms").
civil civil_from_days(std::int64_t days) {
  days += 719468;
  const auto era = (days >= 0 ? days : days - 146096) / 146097;
  const auto day_of_era = static_cast<std::uint32_t>(days - era * 146097);
  const auto year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const auto day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const auto shifted = (5 * day_of_year + 2) / 153;  // months from March
  const auto month = shifted < 10 ? shifted + 3 : shifted - 9;
  const auto year = static_cast<std::uint32_t>(static_cast<std::int64_t>(year_of_era) + era * 400);
  return {year + (month <= 2 ? 1 : 0), month, day_of_year - (153 * shifted + 2) / 5 + 1};
}

} // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t run = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (!special[byte_at(text, i)]) {
      ++i;
      continue;
    }
    if (const auto length = character_length(text, i); length != 0) {
      i += length;
      continue;
    }
    out.append(text, run, i - run);
    if (byte_at(text, i) >= 0x80)
      out += "\xEF\xBF\xBD";
    else
      append_escape(out, text[i]);
    run = ++i;
  }
  out.append(text, run, text.size() - run);
  out += '"';
}

void append_base64(std::string& out, std::string_view bytes) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto begin = out.size();
  out.resize(begin + (bytes.size() + 2) / 3 * 4);
  char* to = out.data() + begin;
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const auto group = group_at(bytes, i);
    *to++ = alphabet[group >> 18];
    *to++ = alphabet[group >> 12 & 63];
    *to++ = alphabet[group >> 6 & 63];
    *to++ = alphabet[group & 63];
  }
  if (i == bytes.size())
    return;
  const bool two = i + 2 == bytes.size();
  const auto group = group_at(bytes, i);
  *to++ = alphabet[group >> 18];
  *to++ = alphabet[group >> 12 & 63];
  *to++ = two ? alphabet[group >> 6 & 63] : '=';
  *to = '=';
}

void append_time(std::string& out, std::int64_t unix_nanos) {
  constexpr std::int64_t nanos_per_second = 1'000'000'000;
  constexpr std::int64_t seconds_per_day = 86400;
  const auto floor_div = [](std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); };
  const auto second = floor_div(unix_nanos, nanos_per_second);
  const auto days = floor_div(second, seconds_per_day);
  const auto date = civil_from_days(days);
  const auto of_day = static_cast<std::uint32_t>(second - days * seconds_per_day);
  char text[] = "0000-00-00T00:00:00.000000000Z";
  put_digits(text, date.year, 4);
  put_digits(text + 5, date.month, 2);
  put_digits(text + 8, date.day, 2);
  put_digits(text + 11, of_day / 3600, 2);
  put_digits(text + 14, of_day / 60 % 60, 2);
  put_digits(text + 17, of_day % 60, 2);
  // Not unix_nanos - second * 10^9: near the ends of the range that would overflow.
  const auto rest = unix_nanos % nanos_per_second;
  put_digits(text + 20, static_cast<std::uint32_t>(rest < 0 ? rest + nanos_per_second : rest), 9);
  out.append(text, sizeof text - 1);
}

} // namespace holdfast::render
