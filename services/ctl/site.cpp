#include "services/ctl/ctl.hpp"

#include "common/config/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace holdfast::ctl {

namespace {

config::gateway load_or_fail(const std::string& file) {
  auto result = config::load(file);
  if (result.problems.empty())
    return std::move(result.value);
  std::string text = fmt::format("failed to read the configuration {}:", file);
  for (auto& problem : result.problems)
    text += fmt::format("\n{}: {}", problem.where(), problem.text);
  throw failure(bad_configuration, text);
}

} // namespace

site open_site(const site_options& options) {
  site out;
  std::error_code ignored;
  out.configured = options.config_named || std::filesystem::exists(options.config_file, ignored);
  if (out.configured)
    out.config = load_or_fail(options.config_file);
  else if (options.run_directory.empty())
    throw failure(bad_configuration, fmt::format("there is no configuration at {}: name one with --config, or the "
                                                 "sockets' directory with --run-directory", options.config_file));
  out.run_directory = options.run_directory.empty() ? out.config.run_directory : options.run_directory;
  out.instances = out.configured ? expected_instances(out.config) : present_instances(out.run_directory);
  std::erase_if(out.instances, [](auto& name) { return name.starts_with("watchdog"); });
  return out;
}

std::string site::socket(const std::string& endpoint) const {
  return fmt::format("{}/{}.sock", run_directory, endpoint);
}

std::vector<std::string> expected_instances(const config::gateway& config) {
  if (!config.watchdog.services.empty())
    return config.watchdog.services;
  // A file with a collector and nothing to collect is a centre's. In a gateway's file it tells where to listen when
  // somebody starts a collector beside it, as a demonstration does.
  if (config.collector && config.sources.empty() && config.links.empty())
    return {"collector"};
  std::vector<std::string> out{"store"};
  for (auto& link : config.links)
    out.push_back("uplink-" + link.name);
  out.emplace_back("acquisition");
  out.emplace_back("health");
  return out;
}

std::vector<std::string> present_instances(const std::string& run_directory) {
  constexpr std::string_view head = "control.";
  constexpr std::string_view tail = ".sock";
  std::vector<std::string> out;
  std::error_code ignored;
  for (auto& entry : std::filesystem::directory_iterator(run_directory, ignored)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with(head) && name.ends_with(tail) && name.size() > head.size() + tail.size())
      out.push_back(name.substr(head.size(), name.size() - head.size() - tail.size()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

} // namespace holdfast::ctl
