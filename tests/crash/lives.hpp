#pragma once

#include <string>

namespace holdfast::crash {

struct outcome {
  int lives = 0;
  double slowest = 0;
  std::string problem{};
};

/// Opens a store or an archive as its service would, each life in a process of its own, until one ends well; the report
/// is that one's.
outcome lives(const std::string& directory, const std::string& report, bool archive);

std::string content_of(const std::string& path);

} // namespace holdfast::crash
