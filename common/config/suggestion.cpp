#include "common/config/load.hpp"

#include <algorithm>
#include <numeric>

namespace holdfast::config::detail {

namespace {

constexpr std::size_t quote_length = 48;
constexpr std::size_t listed_words = 20;

/// Levenshtein distance, one row at a time.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string listed(const std::vector<std::string>& words) {
  std::string result;
  for (std::size_t i = 0; i < words.size() && i < listed_words; ++i)
    result += (i == 0 ? "" : ", ") + words[i];
  return words.size() > listed_words ? result + ", ..." : result;
}

} // namespace

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  if (candidates.empty())
    return "; none is declared";
  // A third of the letters may differ: enough for a slip of the finger, too little for another word. Long words are no
  // slips and would only cost time.
  const auto limit = std::max<std::size_t>(1, word.size() / 3);
  const std::string* best = nullptr;
  auto nearest = limit + 1;
  for (const auto& candidate : candidates) {
    if (word.size() > candidate.size() + limit)
      continue;
    if (auto d = distance(word, candidate); d < nearest) {
      nearest = d;
      best = &candidate;
    }
  }
  return best ? "; did you mean '" + *best + "'?" : "; allowed: " + listed(candidates);
}

std::string quoted(std::string_view text) {
  std::string result = "'";
  for (char c : text.substr(0, quote_length))
    result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return result + (text.size() > quote_length ? "...'" : "'");
}

} // namespace holdfast::config::detail
