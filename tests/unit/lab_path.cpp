// What the laboratory's links do to packets.

#include "tests/system/lab/path.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <vector>

using namespace holdfast::lab;
using namespace std::chrono_literals;

namespace {

const std::vector<std::byte> packet(1000);

/// IPv4 with 20 bytes of header, TCP with 32, and so much payload.
std::vector<std::byte> tcp(std::size_t payload) {
  std::vector<std::byte> p(52 + payload);
  p[0] = std::byte{0x45};
  p[2] = std::byte(p.size() >> 8);
  p[3] = std::byte(p.size() & 255);
  p[9] = std::byte{6};
  p[32] = std::byte{0x80};
  return p;
}

} // namespace

TEST_CASE("a link of the laboratory delays", "[lab]") {
  path way(1);
  way.now.delay = 300ms;
  const clock::time_point at{1h};
  CHECK(way.take(packet, at) == at + 300ms);
}

TEST_CASE("jitter wanders over its whole width, around the delay, and changes no order", "[lab]") {
  path way(1);
  way.now.delay = 20ms;
  way.now.jitter = 15ms;
  clock::time_point at{1h}, last{};
  clock::duration least = 1h, most{}, sum{};
  for (int i = 0; i < 20'000; ++i, at += 1ms) {
    const auto out = way.take(packet, at).value();
    CHECK(out >= last);
    last = out;
    least = std::min(least, out - at);
    most = std::max(most, out - at);
    sum += out - at;
  }
  CHECK(least >= 5ms);
  CHECK(least < 7ms);
  CHECK(most <= 35ms);
  CHECK(most > 33ms);
  CHECK(sum / 20'000 > 18ms);
  CHECK(sum / 20'000 < 22ms);
}

TEST_CASE("a rate lets packets out one after the other, and drops what finds the queue full", "[lab]") {
  path way(1);
  way.now.rate = 1e6;
  way.now.queue = 10'000;
  const clock::time_point at{1h};
  for (int i = 1; i <= 10; ++i)
    CHECK(way.take(packet, at) == at + i * 1ms);
  CHECK_FALSE(way.take(packet, at));
  CHECK(way.seen.overflow == 1);
  CHECK(way.take(packet, at + 1ms) == at + 11ms);
  CHECK(way.take(packet, at + 1s) == at + 1001ms);
}

TEST_CASE("loss takes its share, the same with the same seed", "[lab]") {
  std::array<std::uint64_t, 2> lost{};
  for (auto& n : lost) {
    path way(7);
    way.now.loss = 0.05;
    for (int i = 0; i < 20'000; ++i)
      way.take(packet, clock::time_point{1h});
    n = way.seen.lost;
  }
  CHECK(lost[0] == lost[1]);
  CHECK(lost[0] > 850);
  CHECK(lost[0] < 1150);
}

TEST_CASE("a cut takes everything, or only what carries data", "[lab]") {
  path way(1);
  const clock::time_point at{1h};
  way.now.cut_off = cut::data;
  CHECK(way.take(tcp(0), at));
  CHECK_FALSE(way.take(tcp(1), at));
  CHECK(way.take(packet, at)); // no TCP
  way.now.cut_off = cut::all;
  CHECK_FALSE(way.take(tcp(0), at));
  CHECK(way.seen.cut_off == 2);
}
