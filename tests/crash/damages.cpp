#include "tests/crash/damages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace holdfast::crash {

namespace {
constexpr std::size_t page = 4096;
} // namespace

damage damaged(const std::string& good, dice& d) {
  auto bad = good;
  const auto pages = good.size() / page;
  const auto any = [&] { return d() % bad.size(); };
  const auto some_pages = [&](auto change) {
    const auto n = 1 + d() % (d() % 4 == 0 ? 60 : 4);
    for (std::uint64_t i = 0; i < n; ++i)
      change(bad.data() + (d() % pages) * page);
    return n;
  };
  switch (d() % 12) {
    case 0: bad[any()] ^= static_cast<char>(1 << d() % 8); return {"one bit", bad};
    case 1: {
      const auto n = 2 + d() % 1000;
      for (std::uint64_t i = 0; i < n; ++i)
        bad[any()] ^= static_cast<char>(1 << d() % 8);
      return {fmt::format("{} bits", n), bad};
    }
    case 2: return {fmt::format("{} pages zero", some_pages([](char* p) { std::memset(p, 0, page); })), bad};
    case 3: return {fmt::format("{} pages of rubbish", some_pages([&](char* p) {
      std::generate(p, p + page, [&] { return static_cast<char>(d()); });
    })), bad};
    case 4: return {fmt::format("{} sectors zero", some_pages([&](char* p) {
      std::memset(p + d() % 8 * 512, 0, 512);
    })), bad};
    case 5: return {fmt::format("{} page headers", some_pages([&](char* p) {
      p[8 + d() % 8] ^= static_cast<char>(1 << d() % 8);
    })), bad};
    case 6: return {fmt::format("{} node lists", some_pages([&](char* p) {
      p[16 + d() % 64] ^= static_cast<char>(1 << d() % 8);
    })), bad};
    case 7: return {fmt::format("{} pages moved", some_pages([&](char* p) {
      std::memcpy(p, good.data() + (d() % pages) * page, page);
    })), bad};
    case 8: {
      const auto n = d() % 5 == 0 ? d() % (3 * page) : any();
      return {fmt::format("cut to {} bytes", n), bad.substr(0, n)};
    }
    case 9: {
      const auto n = 1 + d() % (64 * page);
      return {fmt::format("{} bytes of rubbish behind", n), bad + std::string(n, static_cast<char>(d()))};
    }
    case 10: {
      const auto at = d() % (2 * page);
      bad[at] ^= static_cast<char>(1 << d() % 8);
      return {fmt::format("a bit of a meta page, at {}", at), bad};
    }
    default: {
      const auto from = any();
      std::memset(bad.data() + from, 0, bad.size() - from);
      return {fmt::format("zero from {}", from), bad};
    }
  }
}

} // namespace holdfast::crash
