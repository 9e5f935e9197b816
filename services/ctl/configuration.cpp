// check and endpoints: what the configuration says.

#include "services/ctl/ctl.hpp"

#include "common/bus/endpoints.hpp"
#include "common/config/load.hpp"

#include <fmt/format.h>

namespace holdfast::ctl {

namespace {

constexpr std::string_view per_instance = "<instance>";

std::string plural(std::size_t n, std::string_view what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

} // namespace

int check(const std::string& file) {
  const auto result = config::load(file);
  for (auto& problem : result.problems)
    fmt::print("{}: {}\n", problem.where(), problem.text);
  if (!result.problems.empty())
    return bad_configuration;
  fmt::print("{}: valid ({}, {})\n", file, plural(result.value.sources.size(), "source"),
             plural(result.value.links.size(), "link"));
  return ok;
}

int print_schema() {
  fmt::print("{}\n", config::json_schema());
  return ok;
}

int print_endpoints(const site& where) {
  auto instances = where.instances;
  instances.emplace_back("watchdog");
  for (auto& row : bus::endpoint_table) {
    fmt::print("{}\n  binds     {} ({})\n  connects  {}\n  flows     {}\n", row.name, row.binds, row.socket,
               row.connects, row.flows);
    const auto at = row.name.find(per_instance);
    if (at == std::string_view::npos) {
      fmt::print("  address   {}\n", bus::address(where.run_directory, row.name));
      continue;
    }
    for (auto& instance : instances)
      fmt::print("  address   {}\n",
                 bus::address(where.run_directory, std::string(row.name.substr(0, at)) + instance));
  }
  return ok;
}

} // namespace holdfast::ctl
