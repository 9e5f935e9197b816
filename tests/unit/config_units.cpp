#include "common/config/load.hpp"
#include "common/config/units.hpp"

#include <catch2/catch.hpp>

using namespace holdfast::config;
using namespace std::chrono_literals;

TEST_CASE("durations need a unit, but for zero", "[config]") {
  CHECK(parse_duration("250ms") == 250ms);
  CHECK(parse_duration("5s") == 5s);
  CHECK(parse_duration("10min") == 10min);
  CHECK(parse_duration("2h") == 2h);
  CHECK(parse_duration("7d") == 168h);
  CHECK(parse_duration("0") == 0ms);
  for (auto* text : {"", "5", "ms", "-5s", "+5s", "1.5s", "5 s", "5m", "5S", "5s ", " 5s", "0x5s"})
    CHECK_FALSE(parse_duration(text));
}

TEST_CASE("durations that overflow are refused", "[config]") {
  CHECK(parse_duration("9223372036854775807ms"));
  CHECK_FALSE(parse_duration("9223372036854775808ms"));
  CHECK_FALSE(parse_duration("106751991168d"));
  CHECK_FALSE(parse_duration("18446744073709551615d"));
  CHECK_FALSE(parse_duration("99999999999999999999ms"));
}

TEST_CASE("sizes take binary and decimal units or none", "[config]") {
  CHECK(parse_bytes("64KiB") == kib(64));
  CHECK(parse_bytes("10GiB") == gib(10));
  CHECK(parse_bytes("500MB") == bytes{500'000'000});
  CHECK(parse_bytes("3kB") == bytes{3000});
  CHECK(parse_bytes("3KB") == bytes{3000});
  CHECK(parse_bytes("12B") == bytes{12});
  CHECK(parse_bytes("1234") == bytes{1234});
  CHECK(parse_bytes("0") == bytes{0});
  for (auto* text : {"", "KiB", "-1", "1.5MiB", "1 KiB", "1K", "1kib", "1KiBs"})
    CHECK_FALSE(parse_bytes(text));
}

TEST_CASE("sizes that overflow are refused", "[config]") {
  CHECK(parse_bytes("18446744073709551615"));
  CHECK_FALSE(parse_bytes("18446744073709551616"));
  CHECK(parse_bytes("16777215TiB"));
  CHECK_FALSE(parse_bytes("16777216TiB"));
}

TEST_CASE("endpoints are host and port", "[config]") {
  CHECK(parse_endpoint("0.0.0.0:4001") == endpoint{"0.0.0.0", 4001});
  CHECK(parse_endpoint("centre.example.net:1") == endpoint{"centre.example.net", 1});
  CHECK(parse_endpoint("[fe80::1%eth0]:65535") == endpoint{"fe80::1%eth0", 65535});
  for (auto* text : {"", ":", "host", "host:", ":80", "host:0", "host:65536", "host:-1", "host:80x", "fe80::1:80",
                     "[]:80", "a b:80", "http://x:80", "[x/y]:1"})
    CHECK_FALSE(parse_endpoint(text));
  CHECK(endpoint{"::1", 80}.text() == "[::1]:80");
  CHECK(endpoint{"host", 80}.text() == "host:80");
}

TEST_CASE("numbers are decimal or hexadecimal", "[config]") {
  CHECK(parse_number("42") == 42U);
  CHECK(parse_number("0x1F") == 31U);
  for (auto* text : {"", "-1", "+1", "1.0", "1e3", "0x", "0x-1", "12a", "18446744073709551616"})
    CHECK_FALSE(parse_number(text));
}

TEST_CASE("what is written can be read back", "[config]") {
  for (auto value : {0ms, 1ms, 1500ms, 90'000ms, 60'000ms, 3'600'000ms, 86'400'000ms})
    CHECK(parse_duration(to_text(value)) == value);
  CHECK(to_text(milliseconds{90s}) == "90s");
  for (auto value : {bytes{0}, bytes{1}, bytes{1000}, kib(64), mib(3), gib(2048)})
    CHECK(parse_bytes(to_text(value)) == value);
  CHECK(to_text(kib(64)) == "64KiB");
}

TEST_CASE("suggestions find slips, not other words", "[config]") {
  CHECK(detail::suggestion("conect", {"listen", "connect"}) == "; did you mean 'connect'?");
  CHECK(detail::suggestion("zzz", {"listen", "connect"}) == "; allowed: listen, connect");
  CHECK(detail::suggestion("zzz", {}) == "; none is declared");
  CHECK(detail::quoted("a\nb") == "'a?b'");
  CHECK(detail::quoted(std::string(100, 'x')).size() < 60);
}
