#pragma once

// What the fuzz targets share: an input that is taken apart, and a claim that must hold.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace holdfast::fuzz {

/// Ends the process, which libFuzzer reports with the input.
inline void claim(bool holds, const char* what) {
  if (holds)
    return;
  std::fprintf(stderr, "claim broken: %s\n", what);
  std::abort();
}

/// Takes numbers and pieces from the front of the input; zeros and nothing when it is at its end.
class input {
public:
  input(const std::uint8_t* data, std::size_t size) : left_(reinterpret_cast<const char*>(data), size) {}

  std::uint8_t byte() {
    const auto piece = bytes(1);
    return piece.empty() ? 0 : static_cast<std::uint8_t>(piece.front());
  }
  unsigned number(unsigned below) { return byte() % below; }
  bool coin() { return (byte() & 1) != 0; }
  std::string_view bytes(std::size_t n) {
    const auto piece = left_.substr(0, n);
    left_.remove_prefix(piece.size());
    return piece;
  }
  /// With its length in front.
  std::string_view piece() {
    const auto n = byte() | byte() << 8;
    return bytes(static_cast<std::size_t>(n));
  }
  std::string_view rest() { return bytes(left_.size()); }
  bool empty() const { return left_.empty(); }

private:
  std::string_view left_;
};

/// Calls `take` with the text in pieces whose lengths depend on it: whoever reads a stream must not care.
template <class F> void in_chunks(std::string_view text, std::uint32_t seed, F take) {
  while (!text.empty()) {
    seed = seed * 1664525 + 1013904223;
    const auto n = 1 + (seed >> 16) % ((seed & 1) != 0 ? 3 : 40);
    if (!take(text.substr(0, n)))
      return;
    text.remove_prefix(text.size() < n ? text.size() : n);
  }
}

} // namespace holdfast::fuzz
