// A salvage keeps to its time, and a start that had none before comes to an end.

#include "common/storage/raw_file.hpp"
#include "store_stocked.hpp"

using namespace store_test;

namespace {

std::uint64_t committed(batch_file& f) {
  producer_table producers;
  delivery_state delivery;
  f.load(producers, delivery);
  const auto* row = producers.find("p");
  return row == nullptr ? 0 : row->committed;
}

std::string tries(const bench& b) { return b.settings.directory + "/salvages"; }

constexpr int producers = 20;

/// A large file whose newest meta page is lost: p and others are in the list of tables that the other one leads to.
struct large_file : stocked {
  std::string bytes;

  large_file() {
    {
      auto f = open();
      batch_file::update u(*f);
      for (int n = 1; n < producers; ++n)
        u.producer("p" + std::to_string(n), "telemetry", 7, "here");
      u.commit();
      append(*f, payload(601, 3, 100), 3);
    }
    bytes = test::read_file(data());
    lose_meta(at<std::uint64_t>(bytes, 144) > at<std::uint64_t>(bytes, 4096 + 144) ? 0 : 4096);
  }
  void lose_meta(std::size_t page) {
    bytes.replace(page, 4096, 4096, '\0');
    test::write_file(data(), bytes);
    std::filesystem::resize_file(data(), 256 << 20);  // sparse
  }
};

void condemn(stocked& b) { b.open()->condemn(storage::error(-30796, "page 7 has the wrong type")); }  // MDB_CORRUPTED

} // namespace

TEST_CASE("looking for strays asks for the time also between leaves", "[storage]") {
  bench b;
  const std::string large(3 << 20, 'x');
  {
    auto f = b.open();
    batch_file::update u(*f);
    u.append("telemetry", 1, crc32c(large), large);
    u.commit();
  }
  int asked = 0;
  storage::raw_file file(b.data());
  REQUIRE(file.pages() > 700);
  file.strays([](auto, auto) {}, false, [&] { return ++asked == 2; });
  CHECK(asked == 2);
}

TEST_CASE("the third start that comes to a salvage takes the rows alone", "[store]") {
  const auto before = GENERATE(0, 1, 2, 7);
  stocked b;
  condemn(b);
  if (before > 0)
    test::write_file(tries(b), std::to_string(before));
  const auto f = b.open();
  INFO(f->salvaged());
  REQUIRE_FALSE(f->set_aside().empty());
  CHECK(committed(*f) == 200);
  CHECK(f->head("telemetry") == (before < 2 ? 600 : 0));
  CHECK((f->salvaged().find("earlier starts did not come to the end of it; 1 producers go on where they were; "
                            "see holdfastctl store salvage") != std::string::npos) == (before >= 2));
  CHECK_FALSE(std::filesystem::exists(tries(b)));
}

TEST_CASE("starts that end in a salvage are counted until one does not", "[store]") {
  stocked b;
  const auto& directory = b.settings.directory;
  CHECK(salvage_tries(directory).begin());
  CHECK(salvage_tries(directory).begin());
  CHECK_FALSE(salvage_tries(directory).begin());
  CHECK_FALSE(salvage_tries(directory).begin());
  b.open();
  CHECK(salvage_tries(directory).begin());
}

TEST_CASE("rows alone are read before a large file is looked through for a newer list of tables", "[store]") {
  large_file b;
  int asked = 0;
  const auto found = salvage({.file = b.data(), .stop = [&] { return ++asked > 100; }, .rows_only = true});
  CHECK(found.producers == producers);
}

TEST_CASE("rows alone: looking for a list of tables leaves time to read what the best of them leads to", "[store]") {
  large_file b;
  b.lose_meta(0);
  b.lose_meta(4096);
  int looked = 0;
  int asked = 0;
  const auto found = salvage({.file = b.data(),
                              .stop = [&] { return ++asked > 100; },
                              .stop_looking = [&] { return ++looked > 2000; },
                              .rows_only = true});
  CHECK(found.producers == producers);
}
