#include "common/config/fields.hpp"

#include "common/config/units.hpp"

#include <algorithm>
#include <array>

namespace holdfast::config {

namespace {

template <class E, std::size_t N>
constexpr std::array<word, N> table(const std::pair<std::string_view, E> (&rows)[N]) {
  std::array<word, N> result{};
  for (std::size_t i = 0; i < N; ++i)
    result[i] = {rows[i].first, static_cast<int>(rows[i].second)};
  return result;
}

constexpr auto framing_words = table<framing_kind>({{"line", framing_kind::line},
                                                    {"length-prefix", framing_kind::length_prefix},
                                                    {"fixed", framing_kind::fixed},
                                                    {"idle-gap", framing_kind::idle_gap}});

constexpr auto confirm_words = table<confirm_kind>({{"none", confirm_kind::none}, {"count", confirm_kind::count}});

constexpr auto register_table_words = table<register_table>({{"coil", register_table::coil},
                                                             {"discrete", register_table::discrete},
                                                             {"holding", register_table::holding},
                                                             {"input", register_table::input}});

constexpr auto register_type_words = table<register_type>({{"bit", register_type::bit},
                                                           {"int16", register_type::int16},
                                                           {"uint16", register_type::uint16},
                                                           {"int32", register_type::int32},
                                                           {"uint32", register_type::uint32},
                                                           {"int64", register_type::int64},
                                                           {"uint64", register_type::uint64},
                                                           {"float32", register_type::float32},
                                                           {"float64", register_type::float64},
                                                           {"string", register_type::string}});

constexpr auto report_words = table<report_kind>(
  {{"always", report_kind::always}, {"on-change", report_kind::on_change}, {"interval", report_kind::interval}});

constexpr auto waveform_words = table<waveform>({{"sine", waveform::sine},
                                                 {"square", waveform::square},
                                                 {"sawtooth", waveform::sawtooth},
                                                 {"noise", waveform::noise}});

constexpr auto strategy_words = table<restart_strategy>(
  {{"one-for-one", restart_strategy::one_for_one}, {"rest-for-one", restart_strategy::rest_for_one}});

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// name_pattern without its length.
bool is_segment(std::string_view text) {
  return !text.empty() && is_alphanumeric(text.front()) && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
  });
}

bool is_stream(std::string_view text) {
  for (auto slash = text.find('/'); slash != std::string_view::npos; slash = text.find('/')) {
    if (!is_segment(text.substr(0, slash)))
      return false;
    text.remove_prefix(slash + 1);
  }
  return is_segment(text);
}

bool is_interface(std::string_view text) {
  constexpr std::size_t most = 15;  // IFNAMSIZ without the end
  return !text.empty() && text.size() <= most && text != "." && text != ".."
         && text.find_first_of("/: \t\n\v\f\r") == std::string_view::npos;
}

template <class F>
std::string limits(const rule& r, F show) {
  if (r.least && r.most)
    return " from " + show(*r.least) + " to " + show(*r.most);
  return r.least ? " of at least " + show(*r.least) : "";
}

std::string plain_limits(const rule& r) {
  return limits(r, [](std::int64_t n) { return std::to_string(n); });
}

template <class Words, class F>
std::string one_of_text(const Words& words, F text_of_word) {
  std::string result = "one of ";
  for (std::size_t i = 0; i < words.size(); ++i)
    result += (i == 0 ? "" : ", ") + std::string{text_of_word(words[i])};
  return result;
}

std::string text_expectation(const rule& r) {
  if (!r.words.empty())
    return one_of_text(r.words, [](std::string_view w) { return w; });
  switch (r.text) {
    case text_rule::name: return "a name of up to 64 letters, digits, '.', '_', '-', starting with a letter or digit";
    case text_rule::stream:
      return "a name of up to 64 letters, digits, '.', '_', '-', '/', each part starting with a letter or digit";
    case text_rule::filled: return "a text that is not empty";
    case text_rule::interface: return "the name of a network interface, of at most 15 characters";
    case text_rule::address: return "an IP address without port or prefix length";
    case text_rule::any: break;
  }
  return "a text";
}

/// One overload per kind of field, picked by std::visit.
struct expectation_of {
  const rule& r;
  std::string operator()(bool*) const { return "true or false"; }
  std::string operator()(std::string*) const { return text_expectation(r); }
  std::string operator()(unsigned*) const { return whole(); }
  std::string operator()(std::uint16_t*) const { return whole(); }
  std::string operator()(std::uint64_t*) const { return whole(); }
  std::string operator()(double*) const { return "a number" + plain_limits(r); }
  std::string operator()(bytes*) const {
    return "a size" + limits(r, [](std::int64_t n) { return to_text(bytes{static_cast<std::uint64_t>(n)}); })
           + " (B, kB, MB, GB, KiB, MiB, GiB)";
  }
  std::string operator()(endpoint*) const { return "host:port with a port from 1 to 65535"; }
  std::string operator()(milliseconds*) const { return "a duration" + duration_limits(); }
  std::string operator()(seconds*) const { return "a duration in whole seconds" + duration_limits(); }
  std::string operator()(std::vector<std::string>*) const { return "a list of texts"; }
  std::string operator()(const word_ref& w) const {
    return one_of_text(w.words, [](const word& row) { return row.text; });
  }
  std::string operator()(const object_ref&) const { return "a map of keys and values"; }
  std::string operator()(const list_ref&) const { return r.least ? "a list with at least one entry" : "a list"; }

  std::string whole() const { return "a whole number" + plain_limits(r); }
  std::string duration_limits() const {
    return limits(r, [](std::int64_t n) { return to_text(milliseconds{n}); }) + " (ms, s, min, h, d)";
  }
};

} // namespace

std::span<const word> words(framing_kind) { return framing_words; }
std::span<const word> words(confirm_kind) { return confirm_words; }
std::span<const word> words(register_table) { return register_table_words; }
std::span<const word> words(register_type) { return register_type_words; }
std::span<const word> words(report_kind) { return report_words; }
std::span<const word> words(waveform) { return waveform_words; }
std::span<const word> words(restart_strategy) { return strategy_words; }

bool allows(const rule& r, std::string_view text) {
  if (!r.words.empty())
    return std::find(r.words.begin(), r.words.end(), text) != r.words.end();
  switch (r.text) {
    case text_rule::name: return text.size() <= max_name_length && is_segment(text);
    case text_rule::stream: return text.size() <= max_name_length && is_stream(text);
    case text_rule::filled: return !text.empty();
    case text_rule::interface: return is_interface(text);
    case text_rule::address: return ip_version(text) != 0;
    case text_rule::any: break;
  }
  return true;
}

std::string expectation(const value_ref& value, const rule& r) { return std::visit(expectation_of{r}, value); }

} // namespace holdfast::config
