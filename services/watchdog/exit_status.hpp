#pragma once

#include <optional>
#include <string>

namespace holdfast::watchdog {

/// How a process ended. Neither code nor signal: unknown, as for a process that another one had started.
struct exit_status {
  std::optional<int> code;
  std::optional<int> signal;

  /// "exited with code 71", "killed by SIGSEGV", "ended (adopted, cause unknown)".
  std::string text() const;
};

} // namespace holdfast::watchdog
