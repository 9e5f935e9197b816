#include "common/core/crc32c.hpp"
#include "common/storage/stored_batch.hpp"

#include <catch2/catch.hpp>

#include <string>

using holdfast::crc32c;
using holdfast::storage::stored_batch;

namespace {

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
  b.encode(out.data());
  return out;
}

} // namespace

TEST_CASE("a stored batch comes back as it was", "[storage]") {
  auto b = sample("the payload");
  b.historical = true;
  const auto bytes = encoded(b);
  CHECK(bytes.size() == stored_batch::header_bytes + 11);
  const auto back = stored_batch::decode(bytes);
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
  b.payload = "x";
  CHECK(encoded(b) == std::string("\x01\x01\x05\x01\x04\x03\x02\x01\x14\x13\x12\x11\x01\x00\x00\x00"
                                  "\x28\x27\x26\x25\x24\x23\x22\x21x", 25));
}

TEST_CASE("a gap has no payload and is intact", "[storage]") {
  stored_batch gap;
  gap.record_count = 12;
  gap.gap_reason = 3;
  const auto bytes = encoded(gap);
  const auto back = stored_batch::decode(bytes);
  REQUIRE(back);
  CHECK(back->gap_reason == 3);
  CHECK_FALSE(back->historical);
  CHECK(back->payload.empty());
  CHECK(back->intact());
}

TEST_CASE("a truncated or prolonged batch is not decoded", "[storage]") {
  const auto bytes = encoded(sample("payload"));
  for (std::size_t n = 0; n < bytes.size(); ++n)
    CHECK_FALSE(stored_batch::decode(std::string_view(bytes).substr(0, n)));
  CHECK_FALSE(stored_batch::decode(bytes + "x"));
}

TEST_CASE("a batch for newer readers only is not decoded, one of a newer writer is", "[storage]") {
  auto bytes = encoded(sample("payload"));
  bytes[0] = 2;  // written by a newer version that says version 1 may read it
  REQUIRE(stored_batch::decode(bytes));
  CHECK(stored_batch::decode(bytes)->intact());
  bytes[1] = 2;
  CHECK_FALSE(stored_batch::decode(bytes));
}

TEST_CASE("any changed bit of the payload is noticed", "[storage]") {
  const auto good = encoded(sample("some payload of some length"));
  for (std::size_t at = stored_batch::header_bytes; at < good.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      auto bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      const auto b = stored_batch::decode(bytes);
      REQUIRE(b);
      CHECK_FALSE(b->intact());
    }
}
