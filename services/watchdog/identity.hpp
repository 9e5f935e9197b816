#pragma once

#include <string>
#include <vector>

namespace holdfast::watchdog {

/// Which of its services a program is: the link and the configuration its command line names.
struct identity {
  std::string link;
  std::string configuration;  ///< full path
  bool operator==(const identity&) const = default;
};

/// `directory`: where relative paths begin. `variable`: its HOLDFAST_CONFIG, which holds where no --config is given.
identity identity_of(const std::vector<std::string>& command, const std::string& directory,
                     const std::string& variable);

/// The same of a running process. Empty, and so nobody's, where /proc does not tell.
identity identity_of(long pid);

} // namespace holdfast::watchdog
