#include "common/core/crc32c.hpp"
#include "common/storage/stored_batch.hpp"

#include <catch2/catch.hpp>

#include <string>

using holdfast::crc32c;
using holdfast::storage::batch_place;
using holdfast::storage::stored_batch;

namespace {

const batch_place here{"telemetry", "seq 0007"};

stored_batch sample(std::string_view payload) {
  stored_batch b;
  b.record_count = 70'000;
  b.crc = crc32c(payload);
  b.stored_unix_nanos = -5;
  b.payload = payload;
  return b;
}

std::string encoded(const stored_batch& b) {
  std::string out(b.encoded_bytes(), '?');
  b.encode(out.data(), here);
  return out;
}

std::optional<stored_batch> decoded(std::string_view bytes) { return stored_batch::decode(bytes, here); }

std::string sealed(const std::string& header) {
  const auto seal = crc32c(std::string("telemetry\0seq 0007\0", 19) + header);
  std::string out;
  for (int shift = 0; shift < 32; shift += 8)
    out += static_cast<char>(seal >> shift);
  return out;
}

// The layout without a checksum of the header.
std::string version_1(const stored_batch& b) {
  auto bytes = encoded(b).erase(24, 4);
  bytes[0] = bytes[1] = 1;
  return bytes;
}

} // namespace

TEST_CASE("a stored batch comes back as it was", "[storage]") {
  auto b = sample("the payload");
  b.historical = true;
  const auto bytes = encoded(b);
  CHECK(bytes.size() == stored_batch::header_bytes + 11);
  const auto back = decoded(bytes);
  REQUIRE(back);
  CHECK(back->record_count == 70'000);
  CHECK(back->crc == b.crc);
  CHECK(back->gap_reason == 0);
  CHECK(back->historical);
  CHECK(back->stored_unix_nanos == -5);
  CHECK(back->payload == "the payload");
  CHECK(back->intact());
}

TEST_CASE("a stored batch's layout does not change", "[storage]") {
  stored_batch b;
  b.record_count = 0x01020304;
  b.crc = 0x11121314;
  b.gap_reason = 5;
  b.historical = true;
  b.stored_unix_nanos = 0x2122232425262728;
  std::string header("\x02\x02\x05\x01\x04\x03\x02\x01\x14\x13\x12\x11\x00\x00\x00\x00"
                     "\x28\x27\x26\x25\x24\x23\x22\x21", 24);
  CHECK(encoded(b) == header + sealed(header));
  b.payload = "x";
  header[12] = 1;
  CHECK(encoded(b) == header + sealed(header) + "x");
}

TEST_CASE("a gap has no payload and is intact", "[storage]") {
  stored_batch gap;
  gap.record_count = 12;
  gap.gap_reason = 3;
  const auto bytes = encoded(gap);
  const auto back = decoded(bytes);
  REQUIRE(back);
  CHECK(back->gap_reason == 3);
  CHECK_FALSE(back->historical);
  CHECK(back->payload.empty());
  CHECK(back->intact());
}

TEST_CASE("a truncated or prolonged batch is not decoded", "[storage]") {
  const auto bytes = encoded(sample("payload"));
  for (std::size_t n = 0; n < bytes.size(); ++n)
    CHECK_FALSE(decoded(std::string_view(bytes).substr(0, n)));
  CHECK_FALSE(decoded(bytes + "x"));
}

TEST_CASE("a batch for newer readers only is not decoded", "[storage]") {
  auto bytes = encoded(sample("payload"));
  bytes[1] = 3;
  CHECK_FALSE(decoded(bytes.replace(24, 4, sealed(bytes.substr(0, 24)))));
  bytes[1] = 2;
  bytes[0] = 3;
  CHECK(decoded(bytes.replace(24, 4, sealed(bytes.substr(0, 24)))));
}

TEST_CASE("a batch of version 1 is read, and read again as it is written anew", "[storage]") {
  const auto old = version_1(sample("the payload"));
  const auto b = decoded(old);
  REQUIRE(b);
  CHECK_FALSE(b->sealed);
  CHECK(b->intact());
  CHECK(b->record_count == 70'000);
  const auto anew = encoded(*b);
  REQUIRE(decoded(anew));
  CHECK(decoded(anew)->sealed);
  CHECK(decoded(anew)->payload == "the payload");
}

TEST_CASE("a batch is nothing under another number or in another table", "[storage]") {
  const auto bytes = encoded(sample("payload"));
  std::string key(here.key);
  for (std::size_t at = 0; at < key.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      auto other = key;
      other[at] = static_cast<char>(other[at] ^ (1 << bit));
      CHECK_FALSE(stored_batch::decode(bytes, {here.table, other}));
    }
  CHECK_FALSE(stored_batch::decode(bytes, {"critical", here.key}));
}

TEST_CASE("one changed bit of a header is mended, more are noticed", "[storage]") {
  stored_batch b;
  const bool gap = GENERATE(false, true);
  if (gap) {
    b.record_count = 12;
    b.gap_reason = 3;
  } else {
    b = sample("payload");
  }
  const auto good = encoded(b);
  for (std::size_t one = 0; one < stored_batch::header_bytes * 8; ++one) {
    auto bytes = good;
    const auto flip = [&](std::size_t bit) { bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8)); };
    flip(one);
    const auto back = decoded(bytes);
    REQUIRE(back);
    CHECK(back->intact());
    CHECK(encoded(*back) == good);
    CHECK_FALSE(stored_batch::decode(bytes, here, false));
    for (const std::size_t other : {one + 1, one + 5, one + 32, one + 100}) {
      if (other >= stored_batch::header_bytes * 8)
        continue;
      flip(other);
      CHECK_FALSE(decoded(bytes));
      flip(other);
    }
  }
}

TEST_CASE("any changed bit of the payload is noticed", "[storage]") {
  const auto good = encoded(sample("some payload of some length"));
  for (std::size_t at = stored_batch::header_bytes; at < good.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      auto bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      const auto b = decoded(bytes);
      REQUIRE(b);
      CHECK_FALSE(b->intact());
    }
}
