#include "services/store/batch_check.hpp"

#include "holdfast/v1/record.pb.h"

#include <catch2/catch.hpp>

using namespace holdfast;

TEST_CASE("the records of a batch are counted without parsing them", "[store]") {
  v1::Batch b;
  b.add_streams("press-7");
  b.set_base_unix_nanos(1);
  b.set_boot_id("boot");
  b.set_clock_quality(v1::CLOCK_QUALITY_SYNCHRONISED);
  for (int i = 0; i < 1000; ++i)
    b.add_records()->set_data(std::string(static_cast<std::size_t>(i), 'x'));
  const auto bytes = b.SerializeAsString();
  CHECK(store::count_records(bytes) == 1000);
  CHECK(store::count_records({}) == 0);
  for (std::size_t cut = 1; cut < 400; ++cut) {
    const auto part = std::string_view(bytes).substr(0, bytes.size() - cut);
    CHECK(store::count_records(part) != 1000);
  }
  CHECK_FALSE(store::count_records("not a batch at all"));
  CHECK_FALSE(store::count_records(std::string(11, '\xFF')));
}

// Found by fuzzing. Counted as none, it would shift the number of every record behind it.
TEST_CASE("a record behind a tag of more than 32 bits is not overlooked", "[store]") {
  const std::string record("\x32\x02\x08\x00", 4);
  const std::string long_tag("\xB2\x80\x80\x80\x10\x02\x08\x00", 8);
  v1::Batch b;
  REQUIRE(b.ParseFromString(record + long_tag));
  CHECK(b.records_size() == 2);
  CHECK_FALSE(store::count_records(record + long_tag));
}
