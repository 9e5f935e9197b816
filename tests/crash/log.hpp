#pragma once

#include "tests/crash/events.hpp"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::crash {

/// An event as it was recorded, counted over all lives.
struct step {
  kind what;
  std::uint64_t handle = 0;
  std::uint64_t a = 0;
  std::string_view name;
  std::string_view data;
};

/// A recording in memory.
class recording {
public:
  explicit recording(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in)
      throw std::runtime_error("failed to read recording " + path);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    const std::string_view all(bytes_);
    for (std::size_t at = 0; at < all.size();) {
      event e;
      if (all.size() - at < sizeof e)
        throw std::runtime_error("failed to read recording " + path + ": cut off");
      std::memcpy(&e, all.data() + at, sizeof e);
      at += sizeof e;
      steps_.push_back({e.what, e.handle, e.a, all.substr(at, e.name_bytes),
                        all.substr(at + e.name_bytes, e.data_bytes)});
      at += e.name_bytes + e.data_bytes;
    }
  }

  const std::vector<step>& steps() const noexcept { return steps_; }

private:
  std::string bytes_;
  std::vector<step> steps_;
};

} // namespace holdfast::crash
