// Registers to values: every type, order and edge.

#include "services/acquisition/modbus/decode.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <bit>
#include <limits>

using namespace holdfast;
using namespace holdfast::acquisition;
using namespace holdfast::acquisition::modbus;
using config::register_type;

namespace {

using registers = std::vector<std::uint16_t>;

config::modbus_point point(register_type type) {
  config::modbus_point p;
  p.type = type;
  return p;
}

template <class T> T value(const config::modbus_point& p, const registers& r) {
  const auto got = decode(p, r);
  REQUIRE(got.quality == quality::good);
  REQUIRE(std::holds_alternative<T>(got.value));
  return std::get<T>(got.value);
}

bool no_value(const reading& r) {
  return r.quality == quality::bad && std::holds_alternative<std::monostate>(r.value);
}

std::string text(const registers& r, unsigned length, bool big = true) {
  auto p = point(register_type::string);
  p.length = length;
  p.big_endian_bytes = big;
  return value<std::string>(p, r);
}

} // namespace

TEST_CASE("modbus decode: integers keep their sign and stay exact", "[modbus]") {
  CHECK(value<std::int64_t>(point(register_type::int16), {0xffff}) == -1);
  CHECK(value<std::uint64_t>(point(register_type::uint16), {0xffff}) == 65535);
  CHECK(value<std::int64_t>(point(register_type::int32), {0x8000, 0}) == std::numeric_limits<std::int32_t>::min());
  CHECK(value<std::uint64_t>(point(register_type::uint32), {0xffff, 0xfffe}) == 4294967294U);
  CHECK(value<std::int64_t>(point(register_type::int64), {0xffff, 0xffff, 0xffff, 0xfffe}) == -2);
  CHECK(value<std::uint64_t>(point(register_type::uint64), {0xffff, 0xffff, 0xffff, 0xfffe}) == 0xfffffffffffffffe);
  CHECK(value<std::int64_t>(point(register_type::int64), {0x20, 0, 0, 1}) == 9007199254740993); // 2^53 + 1
}

TEST_CASE("modbus decode: all four orders of a 32-bit value", "[modbus]") {
  const auto read = [](bool bytes, bool words, registers r) {
    auto p = point(register_type::uint32);
    p.big_endian_bytes = bytes;
    p.big_endian_words = words;
    return value<std::uint64_t>(p, r);
  };
  CHECK(read(true, true, {0x1122, 0x3344}) == 0x11223344);
  CHECK(read(false, true, {0x2211, 0x4433}) == 0x11223344);
  CHECK(read(true, false, {0x3344, 0x1122}) == 0x11223344);
  CHECK(read(false, false, {0x4433, 0x2211}) == 0x11223344);
}

TEST_CASE("modbus decode: scale and offset give doubles", "[modbus]") {
  auto p = point(register_type::int16);
  p.scale = 0.5;
  p.offset = 10;
  CHECK(value<double>(p, {0xfffe}) == 9.0);
  p.scale = 1;
  CHECK(value<double>(p, {0}) == 10.0);
  auto f = point(register_type::float32);
  f.scale = 2;
  CHECK(value<double>(f, {0x3fc0, 0}) == 3.0);
  CHECK(value<double>(point(register_type::float64), {0x3ff8, 0, 0, 0}) == 1.5);
}

TEST_CASE("modbus decode: a float that is no number is no value", "[modbus]") {
  CHECK(no_value(decode(point(register_type::float32), registers{0x7fc0, 0})));
  CHECK(no_value(decode(point(register_type::float32), registers{0x7f80, 0})));
  CHECK(no_value(decode(point(register_type::float64), registers{0xfff8, 0, 0, 0})));
}

TEST_CASE("modbus decode: bits of a register and of a table", "[modbus]") {
  auto p = point(register_type::uint16);
  p.bit = 15;
  p.scale = 3; // has no meaning for a bit
  CHECK(value<bool>(p, {0x8000}));
  CHECK_FALSE(value<bool>(p, {0x7fff}));
  p.big_endian_bytes = false;
  p.bit = 8;
  CHECK(value<bool>(p, {0x0001}));
  CHECK(value<bool>(point(register_type::bit), {1}));
  CHECK(std::get<bool>(decode_bit(std::array<std::uint8_t, 1>{1}).value));
  CHECK(no_value(decode_bit({})));
}

TEST_CASE("modbus decode: texts are trimmed and become UTF-8", "[modbus]") {
  CHECK(text({0x4142, 0x4320, 0x2000}, 6) == "ABC");
  CHECK(text({0x4142, 0x4300, 0x5858}, 6) == "ABC"); // what stood there before
  CHECK(text({0x4241, 0x0043}, 4, false) == "ABC");
  CHECK(text({0x4142, 0x4344}, 3) == "ABC");
  CHECK(text({0x32b0, 0x4300}, 4) == "2\xc2\xb0""C");       // Latin-1
  CHECK(text({0xc2b0, 0x4300}, 4) == "\xc2\xb0""C");        // UTF-8 already
  CHECK(text({0x0000}, 2).empty());
  CHECK(text_of_bytes("\xed\xa0\x80") == "\xc3\xad\xc2\xa0\xc2\x80"); // a surrogate is not UTF-8
  CHECK(text_of_bytes("\xe2\x82") == "\xc3\xa2\xc2\x82");             // cut in the middle of a character
}

TEST_CASE("modbus decode: never reads past what came", "[modbus]") {
  for (auto type : {register_type::int32, register_type::uint64, register_type::float32, register_type::float64}) {
    registers r(width(point(type)) - 1);
    CHECK(no_value(decode(point(type), r)));
  }
  CHECK(no_value(decode(point(register_type::uint16), {})));
  auto p = point(register_type::string);
  p.length = 3;
  CHECK(width(p) == 2);
  CHECK(no_value(decode(p, registers{0x4141})));
}
