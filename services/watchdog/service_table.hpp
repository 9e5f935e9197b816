#pragma once

#include "common/config/config.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::watchdog {

/// One service of this host: the name of its instance, as in events.<instance>, and how it is started.
struct service_entry {
  std::string name;
  std::vector<std::string> command;
};

/// The services of this host in start order: watchdog.services of the file, or store, uplink-LINK for each link,
/// acquisition, health. `only` not empty: this one alone. `binaries` is the directory of the programs.
/// Throws std::runtime_error for a name that is none, telling which there are.
std::vector<service_entry> service_table(const config::gateway& gateway, const std::string& only,
                                         const std::string& binaries);

std::optional<std::size_t> find_service(const std::vector<service_entry>& table, const std::string& name);
/// "store, uplink-main, health"
std::string names(const std::vector<service_entry>& table);

/// The directory this program was started from.
std::string own_directory();

} // namespace holdfast::watchdog
