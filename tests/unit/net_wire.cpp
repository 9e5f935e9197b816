#include "common/net/wire.hpp"
#include "holdfast/v1/wire.pb.h"

#include <catch2/catch.hpp>

#include <cstring>
#include <random>

using namespace holdfast;
using net::encode_wire;
using net::wire_reader;

namespace {

constexpr std::size_t limit = 1 << 20;

std::string data_frame(std::uint64_t seq, const std::string& payload) {
  v1::WireMessage m;
  m.mutable_data()->set_record_class("telemetry");
  m.mutable_data()->set_first_seq(seq);
  m.mutable_data()->set_record_count(1);
  return encode_wire(m, payload.size()) + payload;
}

std::string preamble(const std::string& magic, std::uint32_t header, std::uint32_t payload) {
  std::string out = magic;
  for (auto n : {header, payload})
    for (int shift = 24; shift >= 0; shift -= 8)
      out += static_cast<char>(n >> shift & 255);
  return out;
}

/// Puts bytes in, at most `most` at a time.
void feed(wire_reader& r, std::string_view bytes, std::size_t most, std::vector<wire_reader::frame>& out) {
  while (!bytes.empty() && r.error().empty()) {
    auto [to, size] = r.room();
    REQUIRE(size > 0);
    const auto n = std::min({size, most, bytes.size()});
    std::memcpy(to, bytes.data(), n);
    r.filled(n);
    bytes.remove_prefix(n);
    while (auto f = r.next())
      out.push_back(*f);
  }
}

std::string refused(const std::string& bytes, std::size_t max_payload = limit) {
  wire_reader r(max_payload);
  std::vector<wire_reader::frame> frames;
  feed(r, bytes, bytes.size(), frames);
  CHECK(frames.empty());
  CHECK_FALSE(r.next());
  CHECK(r.room().second > 0);
  return r.error();
}

} // namespace

TEST_CASE("a wire frame's bytes do not change", "[net]") {
  v1::WireMessage m;
  m.mutable_ping()->set_id(7);
  CHECK(encode_wire(m, 258) == std::string("HFW1\0\0\0\4\0\0\1\2\x2a\2\x08\7", 16));
}

TEST_CASE("wire frames come back, however the bytes arrive", "[net]") {
  std::mt19937 chance(3);
  std::string stream;
  std::vector<std::string> payloads;
  for (std::uint64_t seq = 1; seq <= 60; ++seq) {
    payloads.emplace_back(seq % 7 == 0 ? 0 : chance() % 9000, static_cast<char>('a' + seq % 26));
    stream += data_frame(seq, payloads.back());
  }
  const auto check = [&](const std::vector<wire_reader::frame>& frames) {
    REQUIRE(frames.size() == payloads.size());
    for (std::size_t i = 0; i < frames.size(); ++i) {
      v1::WireMessage m;
      REQUIRE(m.ParseFromArray(frames[i].header.data(), static_cast<int>(frames[i].header.size())));
      REQUIRE(m.data().first_seq() == i + 1);
      REQUIRE(frames[i].payload.view() == payloads[i]);
    }
  };
  for (std::size_t most : {std::size_t{1}, std::size_t{11}, std::size_t{4096}, stream.size()}) {
    wire_reader r(limit);
    std::vector<wire_reader::frame> frames;
    feed(r, stream, most, frames);
    CHECK(r.error().empty());
    check(frames);
  }
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937 cut(seed);
    wire_reader r(limit);
    std::vector<wire_reader::frame> frames;
    for (std::string_view left = stream; !left.empty();) {
      const auto n = std::min<std::size_t>(left.size(), 1 + cut() % 20'000);
      feed(r, left.substr(0, n), n, frames);
      left.remove_prefix(n);
    }
    check(frames);
  }
}

TEST_CASE("frames stay as they are while the reader goes on", "[net]") {
  wire_reader r(limit);
  std::vector<wire_reader::frame> kept;
  std::vector<wire_reader::frame> passing;
  feed(r, data_frame(1, std::string(100'000, 'k')), limit, kept);
  for (std::uint64_t seq = 2; seq < 40; ++seq) {  // more than one buffer of 512 KiB, given back each time
    feed(r, data_frame(seq, std::string(100'000, 'p')), limit, passing);
    passing.clear();
  }
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].payload.view() == std::string(100'000, 'k'));
}

TEST_CASE("a frame larger than the buffer arrives whole", "[net]") {
  const std::string payload(900'000, 'x');
  wire_reader r(limit);
  std::vector<wire_reader::frame> frames;
  feed(r, data_frame(1, payload) + data_frame(2, "y"), 50'000, frames);
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].payload.view() == payload);
  CHECK(frames[1].payload.view() == "y");
}

TEST_CASE("what is not a wire frame ends the stream with a reason", "[net]") {
  CHECK(refused("GET / HTTP/1.1\r\n\r\n") == "not a holdfast frame");
  CHECK(refused(preamble("HFW2", 1, 0)) == "not a holdfast frame");
  CHECK(refused(preamble("HFW1", 1, limit + 1)).find("above the limit") != std::string::npos);
  CHECK(refused(preamble("HFW1", (1 << 20) + 1, 0)).find("above the limit") != std::string::npos);
  CHECK(refused(preamble("HFW1", 0xFFFFFFFF, 0xFFFFFFFF)).find("above the limit") != std::string::npos);
  CHECK(refused(data_frame(1, "x"), 0).find("above the limit") != std::string::npos);
}

TEST_CASE("frames before the broken one are still given out", "[net]") {
  wire_reader r(limit);
  std::vector<wire_reader::frame> frames;
  feed(r, data_frame(1, "good") + std::string(40, '?'), 1000, frames);
  CHECK(frames.size() == 1);
  CHECK(r.error() == "not a holdfast frame");
}
