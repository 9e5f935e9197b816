#include "common/config/load.hpp"

#include <cstdlib>

namespace holdfast::config::detail {

namespace {

/// No field needs more; keeps a huge variable from filling the memory.
constexpr std::size_t max_expanded = 64 * 1024;

bool is_variable_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9'))
    return false;
  for (char c : name)
    if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
      return false;
  return true;
}

/// What NAME or NAME:-default stands for. As in a shell, an empty variable takes the default.
std::optional<std::string> value_of(std::string_view reference, place at, report& to) {
  const auto separator = reference.find(":-");
  const bool has_default = separator != std::string_view::npos;
  const std::string name{reference.substr(0, separator)};
  if (!is_variable_name(name)) {
    const auto whole = "${" + std::string{reference} + "}";
    to.add(at, quoted(whole) + " is no environment reference; write ${NAME} or ${NAME:-default}");
    return std::nullopt;
  }
  const char* value = std::getenv(name.c_str());
  if (value && (*value || !has_default))
    return value;
  if (has_default)
    return std::string{reference.substr(separator + 2)};
  to.add(at, "environment variable " + name + " is not set; set it or write ${" + name + ":-default}");
  return std::nullopt;
}

} // namespace

std::optional<std::string> expand_environment(const std::string& text, place at, report& to) {
  std::string result;
  std::size_t from = 0;
  bool complete = true;
  for (auto open = text.find("${"); open != std::string::npos; open = text.find("${", from)) {
    const auto close = text.find('}', open);
    if (close == std::string::npos) {
      to.add(at, "'${' without '}'; write ${NAME} or ${NAME:-default}");
      return std::nullopt;
    }
    result.append(text, from, open - from);
    auto value = value_of(std::string_view{text}.substr(open + 2, close - open - 2), at, to);
    complete = complete && value;
    result += value.value_or("");
    from = close + 1;
    if (result.size() > max_expanded) {
      to.add(at, "value is longer than 64KiB after replacing environment references");
      return std::nullopt;
    }
  }
  return complete ? std::optional{result.append(text, from)} : std::nullopt;
}

} // namespace holdfast::config::detail
