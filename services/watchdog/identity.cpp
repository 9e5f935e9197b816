#include "services/watchdog/identity.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

namespace holdfast::watchdog {

namespace {

constexpr auto usual_configuration = "/etc/holdfast/holdfast.yaml";  // as service::run has it
constexpr std::string_view variable_prefix = "HOLDFAST_CONFIG=";

// "--name VALUE" or "--name=VALUE"; the last one counts.
std::string option(const std::vector<std::string>& command, const std::string& name) {
  std::string out;
  for (std::size_t i = 1; i < command.size(); ++i) {
    if (command[i] == name && i + 1 < command.size())
      out = command[++i];
    else if (command[i].starts_with(name + "="))
      out = command[i].substr(name.size() + 1);
  }
  return out;
}

std::vector<std::string> texts_of(const std::string& file) {
  std::ifstream in(file);
  std::vector<std::string> out;
  for (std::string text; std::getline(in, text, '\0');)
    out.push_back(text);
  return out;
}

} // namespace

identity identity_of(const std::vector<std::string>& command, const std::string& directory,
                     const std::string& variable) {
  auto path = option(command, "--config");
  if (path.empty())
    path = variable.empty() ? usual_configuration : variable;
  std::error_code ec;
  const auto full = std::filesystem::weakly_canonical(std::filesystem::path(directory) / path, ec);
  return {option(command, "--link"), ec ? path : full.string()};
}

identity identity_of(long pid) {
  const auto of = fmt::format("/proc/{}/", pid);
  const auto command = texts_of(of + "cmdline");
  std::error_code ec;
  const auto directory = std::filesystem::read_symlink(of + "cwd", ec);
  if (command.empty() || ec)
    return {};
  std::string variable;
  for (auto& text : texts_of(of + "environ"))
    if (text.starts_with(variable_prefix))
      variable = text.substr(variable_prefix.size());
  return identity_of(command, directory.string(), variable);
}

} // namespace holdfast::watchdog
