#pragma once

#include <random>
#include <string>

namespace holdfast::crash {

using dice = std::mt19937_64;

/// A file as a disk has changed it.
struct damage {
  std::string what;
  std::string bytes;
};

damage damaged(const std::string& good, dice& d);

} // namespace holdfast::crash
