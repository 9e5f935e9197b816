#include "common/core/blob.hpp"
#include "common/core/crc32c.hpp"
#include "common/core/time.hpp"

#include <catch2/catch.hpp>

#include <numeric>
#include <random>
#include <string>

using namespace holdfast;

TEST_CASE("crc32c gives the values of RFC 3720 appendix B.4", "[core]") {
  std::string up(32, '\0');
  std::iota(up.begin(), up.end(), '\0');
  const std::string down(up.rbegin(), up.rend());
  const unsigned char read_command[48] = {0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,    0, 0, 0,
                                          0x14, 0,    0, 0, 0, 0, 4, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
                                          0x28, 0,    0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0,    0, 0, 0};
  const std::string command(std::begin(read_command), std::end(read_command));
  for (auto* sum : {&crc32c, &crc32c_portable}) {
    CHECK(sum(std::string(32, '\0')) == 0x8A9136AAU);
    CHECK(sum(std::string(32, '\xFF')) == 0x62A8AB43U);
    CHECK(sum(up) == 0x46DD794EU);
    CHECK(sum(down) == 0x113FDB5CU);
    CHECK(sum(command) == 0xD9963A56U);
    CHECK(sum("123456789") == 0xE3069283U);
    CHECK(sum("") == 0U);
  }
}

TEST_CASE("the crc32c instruction agrees with the table at every length and alignment", "[core]") {
  std::mt19937 chance(7);
  std::string bytes(4096, '\0');
  for (auto& c : bytes)
    c = static_cast<char>(chance());
  const std::string_view all = bytes;
  for (std::size_t n = 0; n < 300; ++n)
    for (std::size_t at = 0; at < 9; ++at)
      REQUIRE(crc32c(all.substr(at, n)) == crc32c_portable(all.substr(at, n)));
  CHECK(crc32c(all) == crc32c_portable(all));
}

TEST_CASE("a blob shares its bytes and keeps their owner alive", "[core]") {
  CHECK(blob().empty());
  CHECK(blob().view().empty());
  auto owner = std::make_shared<std::string>("header|payload");
  std::weak_ptr<std::string> watched = owner;
  blob part(owner, owner->data() + 7, 7);
  owner.reset();
  CHECK(part.view() == "payload");
  blob copy = part;
  CHECK(copy.data() == part.data());
  part = {};
  CHECK_FALSE(watched.expired());
  CHECK(copy.view() == "payload");
  copy = {};
  CHECK(watched.expired());
}

TEST_CASE("a blob takes a short string without moving its bytes again", "[core]") {
  const blob b(std::string("short"));  // within std::string itself: a moved string would take the bytes along
  const blob c = b;
  CHECK(b.size() == 5);
  CHECK(c.view() == "short");
  CHECK(c.owner() == b.owner());
}

TEST_CASE("the clocks run and ids differ", "[core]") {
  const auto before = boottime_nanos();
  CHECK(boottime_nanos() >= before);
  CHECK(unix_nanos() > 1'600'000'000'000'000'000);
  CHECK(boot_id().size() == 36);
  CHECK(boot_id() == boot_id());
  CHECK(random_id() != random_id());
  CHECK(clock_synchronised() == clock_synchronised());
}
