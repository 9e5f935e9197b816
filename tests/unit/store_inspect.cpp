#include "services/store/inspect.hpp"
#include "store_file_bench.hpp"

#include <sstream>

using namespace store_test;

TEST_CASE("stat and verify tell what is in a store", "[store]") {
  bench b;
  std::ostringstream out;
  CHECK(store::stat(b.settings.directory, false, out) == 2);
  {
    auto f = b.open();
    append(*f, "first", 10);
    append(*f, "second", 5);
    batch_file::update u(*f);
    u.delivered("centre", "telemetry", {{1, 10}});
    u.commit();
  }
  out.str({});
  CHECK(store::stat(b.settings.directory, true, out) == 0);
  CHECK(out.str().find(R"("class":"telemetry","batches":2,"records":15,"first_seq":1,"last_seq":15)")
        != std::string::npos);
  CHECK(out.str().find(R"("destination":"centre","class":"telemetry","confirmed_records":10)") != std::string::npos);
  out.str({});
  CHECK(store::stat(b.settings.directory, false, out) == 0);
  CHECK(out.str().find("destination centre class telemetry: 10 records confirmed in 1 ranges") != std::string::npos);
  out.str({});
  CHECK(verify(b.settings.directory, out) == 0);
  CHECK(out.str().find("telemetry: 2 batches, 15 records, 0 problems") != std::string::npos);
  damage(b, 11, -1, '!');
  damage(b, 1, 4, 12);
  out.str({});
  CHECK(verify(b.settings.directory, out) == 1);
  CHECK(out.str().find("batch at seq 1: header is not what was written there") != std::string::npos);
  CHECK(out.str().find("batch at seq 11 to 15: checksum does not match") != std::string::npos);
  damage(b, 1, 1, 9);
  out.str({});
  CHECK(verify(b.settings.directory, out) == 1);
  CHECK(out.str().find("header is not what was written there") != std::string::npos);
  b.meddle([](storage::environment& env) {
    const auto rows = *env.open_table("delivery");
    storage::txn t(env, storage::txn::kind::write);
    std::string row(*t.get(rows, std::string("centre") + '\0' + "telemetry"));
    row.front() = static_cast<char>(row.front() ^ 1);
    t.put(rows, std::string("centre") + '\0' + "telemetry", row);
    t.commit();
  });
  out.str({});
  CHECK(verify(b.settings.directory, out) == 1);
  CHECK(out.str().find("is not what was written") != std::string::npos);
  test::temporary_directory other;
  { storage::environment env(other.path(), 1 << 20, storage::environment::mode::read_write); env.open_table("x"); }
  out.str({});
  CHECK(store::stat(other.path(), false, out) == 2);
  CHECK(out.str().find("not a holdfast store") != std::string::npos);
}

TEST_CASE("stat and verify see every batch, though they read in several transactions", "[store]") {
  bench b;
  {
    auto f = b.open();
    batch_file::update u(*f);
    for (int i = 0; i < 600; ++i)
      u.append("telemetry", 2, crc32c("x"), "x");
    u.commit();
  }
  std::ostringstream out;
  CHECK(verify(b.settings.directory, out) == 0);
  CHECK(out.str().find("telemetry: 600 batches, 1200 records, 0 problems") != std::string::npos);
  in_first_layout(b, 511, 3);  // the last of the first transaction reaches into the first of the second
  out.str({});
  CHECK(verify(b.settings.directory, out) == 1);
  CHECK(out.str().find("batch at seq 513 overlaps the one before it") != std::string::npos);
}
