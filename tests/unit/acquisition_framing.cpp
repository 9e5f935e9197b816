#include "services/acquisition/framing.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <vector>

using namespace holdfast;
using acquisition::framer;
using config::framing_kind;

namespace {

/// What a framer gave out; "!12" is a dropped frame of 12 bytes.
struct cut {
  framer f;
  std::vector<std::string> out;
  bool sound = true;

  explicit cut(config::framing s) : f(s) {}
  framer::sink sink() {
    return {.frame = [this](std::string_view b) { out.emplace_back(b); },
            .oversize = [this](std::size_t n) { out.push_back("!" + std::to_string(n)); }};
  }
  cut& feed(std::string_view bytes) {
    sound = sound && f.feed(bytes, sink());
    return *this;
  }
  cut& idle() {
    f.idle(sink());
    return *this;
  }
};

using frames = std::vector<std::string>;

config::framing line(std::uint64_t limit) { return {.kind = framing_kind::line, .max_length = {limit}}; }
config::framing prefix(unsigned bytes, bool big = true, bool itself = false) {
  return {.kind = framing_kind::length_prefix, .max_length = {300}, .prefix_bytes = bytes, .prefix_big_endian = big,
          .prefix_counts_itself = itself};
}
config::framing fixed(std::uint64_t length) { return {.kind = framing_kind::fixed, .length = {length}}; }
config::framing gap(std::uint64_t limit) { return {.kind = framing_kind::idle_gap, .max_length = {limit}}; }

std::string prefixed(const config::framing& s, const std::string& frame) {
  const auto n = frame.size() + (s.prefix_counts_itself ? s.prefix_bytes : 0);
  std::string out;
  for (unsigned i = 0; i < s.prefix_bytes; ++i)
    out += static_cast<char>(n >> 8 * (s.prefix_big_endian ? s.prefix_bytes - 1 - i : i) & 255);
  return out + frame;
}

} // namespace

TEST_CASE("lines end at a newline and keep all their other bytes", "[acquisition]") {
  cut c(line(10));
  c.feed("one\n\ntw").feed("o\r").feed(std::string("\n\0x\n", 4)).feed("rest");
  CHECK(c.out == frames{"one", "", "two\r", std::string("\0x", 2)});
  CHECK(c.f.pending() == 4);
  c.idle();
  CHECK(c.out.size() == 4);  // a line that did not end is no line
  CHECK(c.f.pending() == 0);
}

TEST_CASE("a line at the limit is taken, one above is dropped and the next is whole", "[acquisition]") {
  cut c(line(5));
  c.feed("12345\n123456\nabc\n");
  CHECK(c.out == frames{"12345", "!6", "abc"});
  c.out.clear();
  c.feed("1234").feed("5678").feed("90").feed("1\nok\n");
  CHECK(c.out == frames{"!11", "ok"});
  c.feed("toolong").idle().feed("next\n");
  CHECK(c.out.back() == "next");
  CHECK(c.sound);
}

TEST_CASE("length prefixes of every form", "[acquisition]") {
  for (unsigned bytes : {1U, 2U, 4U})
    for (bool big : {true, false})
      for (bool itself : {true, false}) {
        const auto s = prefix(bytes, big, itself);
        const std::string long_one(bytes == 1 ? 200 : 300, 'x');
        cut c(s);
        c.feed(prefixed(s, "abc") + prefixed(s, "") + prefixed(s, long_one) + prefixed(s, "cut").substr(0, bytes + 1));
        CHECK(c.out == frames{"abc", "", long_one});
        CHECK(c.f.pending() == bytes + 1);
        CHECK(c.sound);
      }
}

TEST_CASE("a length above the limit, or below its own prefix, ends the stream", "[acquisition]") {
  cut c(prefix(2));
  c.feed(prefixed(prefix(2), "good") + std::string("\xff\xff garbage"));
  CHECK(c.out == frames{"good", "!65535"});
  CHECK_FALSE(c.sound);
  CHECK(c.f.pending() == 0);
  cut just(prefix(2));
  just.feed(prefixed(prefix(2), std::string(301, 'x')));
  CHECK_FALSE(just.sound);
  cut itself(prefix(2, true, true));
  itself.feed(std::string("\0\1x", 3));
  CHECK_FALSE(itself.sound);
  CHECK(itself.out == frames{"!1"});
}

TEST_CASE("fixed frames are cut by length alone", "[acquisition]") {
  cut c(fixed(4));
  c.feed("12345678").feed("ab").feed("cd12").idle();
  CHECK(c.out == frames{"1234", "5678", "abcd"});
  CHECK(c.f.pending() == 0);
}

TEST_CASE("a pause ends a frame, and so does the limit", "[acquisition]") {
  cut c(gap(8));
  c.idle().feed("abc").feed("def").idle().idle().feed("12345678").feed("1234567890123456789").idle();
  CHECK(c.out == frames{"abcdef", "12345678", "12345678", "90123456", "789"});
}

TEST_CASE("frames do not depend on how the bytes arrive", "[acquisition]") {
  for (auto& s : {line(20), prefix(1), prefix(2, false), prefix(4, true, true), fixed(7), gap(16)}) {
    for (unsigned seed = 1; seed <= 200; ++seed) {
      std::mt19937 chance(seed);
      std::string stream;
      for (int n = 0; n < 40; ++n) {
        std::string frame(chance() % 30, '\0');
        for (auto& ch : frame)
          ch = static_cast<char>('a' + chance() % 26);
        stream += s.kind == framing_kind::length_prefix ? prefixed(s, frame) : frame + '\n';
      }
      cut whole(s);
      whole.feed(stream).idle();
      cut pieces(s);
      for (std::string_view left = stream; !left.empty();) {
        const auto n = std::min<std::size_t>(left.size(), chance() % 12);
        pieces.feed(left.substr(0, n));
        left.remove_prefix(n);
      }
      pieces.idle();
      INFO("kind " << static_cast<int>(s.kind) << " seed " << seed);
      REQUIRE(whole.out == pieces.out);
      REQUIRE(whole.out.size() > 10);
    }
  }
}

TEST_CASE("a framing of no known kind understands nothing", "[acquisition]") {
  cut c({.kind = static_cast<framing_kind>(99)});
  c.feed("x");
  CHECK_FALSE(c.sound);
}
