#include "holdfast/v1/record.pb.h"
#include "services/store/inspect.hpp"
#include "store_file_bench.hpp"

#include <sstream>

using namespace store_test;

TEST_CASE("a damaged payload comes back as a gap of exactly its records", "[store]") {
  bench b;
  {
    auto f = b.open();
    append(*f, "first", 10);
    append(*f, "second", 5);
    append(*f, "third", 5);
  }
  damage(b, 1, -1, '!');
  damage(b, 16, -1, '!');
  auto f = b.open();
  auto gap = f->read_from("telemetry", 1);
  REQUIRE(gap);
  CHECK(gap->seqs == seq_range{1, 10});
  CHECK(gap->gap_reason == v1::GAP_REASON_DAMAGED);
  CHECK(gap->payload.empty());
  CHECK(f->read_from("telemetry", 11)->payload.view() == "second");
  CHECK(f->read_from("telemetry", 16)->seqs == seq_range{16, 20});
  batch_file::update u(*f);  // the neighbours are delivered and gone: the damaged one is no longer for that
  u.append("telemetry", 10, crc32c("fourth"), "fourth");
  u.remove("telemetry", {11, 15});
  u.commit();
  CHECK(f->read_from("telemetry", 1)->seqs == seq_range{1, 10});
  CHECK(f->read_from("telemetry", 16)->seqs == seq_range{16, 20});
}

TEST_CASE("a damaged header's extent is known from its neighbour or the head", "[store]") {
  bench b;
  {
    auto f = b.open();
    append(*f, "first", 10);
    append(*f, "second", 5);
  }
  SECTION("the header is for newer readers") {
    damage(b, 1, 1, 9);
    damage(b, 11, 1, 9);
  }
  SECTION("the header counts more records than there is room for") {
    damage(b, 1, 7, 1);
    damage(b, 11, 7, 1);
  }
  SECTION("the header counts none") {
    damage(b, 1, 4, 0);
    damage(b, 11, 4, 0);
  }
  auto f = b.open();
  CHECK(f->read_from("telemetry", 1)->seqs == seq_range{1, 10});
  CHECK(f->read_from("telemetry", 1)->gap_reason == v1::GAP_REASON_DAMAGED);
  CHECK(f->read_from("telemetry", 11)->seqs == seq_range{11, 15});
}

TEST_CASE("stat and verify tell what is in a store", "[store]") {
  bench b;
  std::ostringstream out;
  CHECK(stat(b.settings.directory, false, out) == 2);
  {
    auto f = b.open();
    append(*f, "first", 10);
    append(*f, "second", 5);
    batch_file::update u(*f);
    u.delivered("centre", "telemetry", {{1, 10}});
    u.commit();
  }
  out.str({});
  CHECK(stat(b.settings.directory, true, out) == 0);
  CHECK(out.str().find(R"("class":"telemetry","batches":2,"records":15,"first_seq":1,"last_seq":15)")
        != std::string::npos);
  CHECK(out.str().find(R"("destination":"centre","class":"telemetry","confirmed_records":10)") != std::string::npos);
  out.str({});
  CHECK(stat(b.settings.directory, false, out) == 0);
  CHECK(out.str().find("destination centre class telemetry: 10 records confirmed in 1 ranges") != std::string::npos);
  out.str({});
  CHECK(verify(b.settings.directory, out) == 0);
  CHECK(out.str().find("telemetry: 2 batches, 15 records, 0 problems") != std::string::npos);
  damage(b, 11, -1, '!');
  damage(b, 1, 4, 12);
  out.str({});
  CHECK(verify(b.settings.directory, out) == 1);
  CHECK(out.str().find("batch at seq 11 overlaps the one before it") != std::string::npos);
  CHECK(out.str().find("batch at seq 11 to 15: checksum does not match") != std::string::npos);
  damage(b, 1, 1, 9);
  out.str({});
  CHECK(verify(b.settings.directory, out) == 1);
  CHECK(out.str().find("header not understood") != std::string::npos);
  test::temporary_directory other;
  { storage::environment env(other.path(), 1 << 20, storage::environment::mode::read_write); env.open_table("x"); }
  out.str({});
  CHECK(stat(other.path(), false, out) == 2);
  CHECK(out.str().find("not a holdfast store") != std::string::npos);
}
