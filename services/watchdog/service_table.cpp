#include "services/watchdog/service_table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

namespace holdfast::watchdog {

namespace {

const std::string uplink_prefix = "uplink-";

std::vector<std::string> usual_services(const config::gateway& gateway) {
  std::vector<std::string> usual{"store"};
  for (auto& link : gateway.links)
    usual.push_back(uplink_prefix + link.name);
  usual.insert(usual.end(), {"acquisition", "health"});
  return usual;
}

std::vector<std::string> known_services(const config::gateway& gateway) {
  auto known = usual_services(gateway);
  known.push_back("collector");
  return known;
}

service_entry entry(const config::gateway& gateway, const std::string& name, const std::string& binaries) {
  const auto known = known_services(gateway);
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw std::runtime_error(fmt::format("failed to find service '{}': known are {}", name, fmt::join(known, ", ")));
  const bool uplink = name.starts_with(uplink_prefix);
  service_entry s{name, {fmt::format("{}/holdfast-{}", binaries, uplink ? "uplink" : name)}};
  if (uplink)
    s.command.insert(s.command.end(), {"--link", name.substr(uplink_prefix.size())});
  s.command.insert(s.command.end(), {"--config", std::filesystem::absolute(gateway.path).string()});
  return s;
}

} // namespace

std::vector<service_entry> service_table(const config::gateway& gateway, const std::string& only,
                                         const std::string& binaries) {
  auto wanted = gateway.watchdog.services.empty() ? usual_services(gateway) : gateway.watchdog.services;
  if (!only.empty())
    wanted = {only};
  std::vector<service_entry> table;
  for (auto& name : wanted) {
    if (find_service(table, name))
      throw std::runtime_error(fmt::format("failed to list services: '{}' is there twice", name));
    table.push_back(entry(gateway, name, binaries));
  }
  return table;
}

std::optional<std::size_t> find_service(const std::vector<service_entry>& table, const std::string& name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](auto& s) { return s.name == name; });
  if (found == table.end())
    return std::nullopt;
  return static_cast<std::size_t>(found - table.begin());
}

std::string names(const std::vector<service_entry>& table) {
  std::string out;
  for (auto& s : table)
    out += (out.empty() ? "" : ", ") + s.name;
  return out;
}

std::string own_directory() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

} // namespace holdfast::watchdog
