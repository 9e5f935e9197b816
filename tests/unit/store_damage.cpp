#include "foreign_lock.hpp"
#include "holdfast/v1/record.pb.h"
#include "services/store/damaged_batch.hpp"
#include "services/store/inspect.hpp"
#include "small_disk.hpp"
#include "store_file_bench.hpp"

#include <cerrno>
#include <cstring>
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
  CHECK(gap->unreadable);
  CHECK(gap->payload.empty());
  const auto kept = test::read_file(b.settings.directory + "/batch.damaged-telemetry-1");
  CHECK(kept.substr(kept.size() - 5) == "firs!");
  CHECK(f->read_from("telemetry", 11)->payload.view() == "second");
  CHECK(f->read_from("telemetry", 16)->seqs == seq_range{16, 20});
  batch_file::update u(*f);  // the neighbours are delivered and gone: the damaged one is no longer for that
  u.append("telemetry", 10, crc32c("fourth"), "fourth");
  u.remove("telemetry", {11, 15});
  u.commit();
  CHECK(f->read_from("telemetry", 1)->seqs == seq_range{1, 10});
  CHECK(f->read_from("telemetry", 16)->seqs == seq_range{16, 20});
}

TEST_CASE("of damaged batches so many are kept, and each once", "[store]") {
  test::temporary_directory dir;
  const auto path = keep_damaged(dir.path(), "telemetry", 7, "bytes");
  CHECK(test::read_file(path) == "bytes");
  CHECK(keep_damaged(dir.path(), "telemetry", 7, "bytes") == path);
  const auto later = keep_damaged(dir.path(), "telemetry", 7, "later");  // its number was given again, in another epoch
  CHECK(later == path + ".2");
  CHECK(test::read_file(later) == "later");
  CHECK(keep_damaged(dir.path(), "telemetry", 7, "later") == later);
  CHECK(test::read_file(path) == "bytes");
  for (std::uint64_t seq = 9; seq < 7 + most_damaged_batches; ++seq)
    CHECK_FALSE(keep_damaged(dir.path(), "telemetry", seq, "bytes").empty());
  CHECK(keep_damaged(dir.path(), "telemetry", 1000, "bytes").empty());
  CHECK(keep_damaged(dir.path(), "telemetry", 7, "bytes") == path);
  CHECK(keep_damaged(dir.path("nowhere"), "telemetry", 1, "bytes").empty());
}

TEST_CASE("of a damaged batch's file that a power cut left empty the bytes are kept again", "[store]") {
  bench b;
  { append(*b.open(), "first", 10); }
  damage(b, 1, -1, '!');
  const auto kept = b.settings.directory + "/batch.damaged-telemetry-1";
  test::write_file(kept, "");
  CHECK(b.open()->read_from("telemetry", 1)->unreadable);
  CHECK(test::read_file(kept).ends_with("firs!"));
  CHECK_FALSE(std::filesystem::exists(b.settings.directory + "/batch.unfinished"));
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
    damage(b, 1, 7, 3);
    damage(b, 11, 7, 3);
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

TEST_CASE("a class that is no longer configured stays, is counted and is told", "[store]") {
  bench b;
  {
    auto f = b.open();
    append(*f, std::string(100'000, 'x'), 10);
    CHECK(f->retired().empty());
  }
  const auto open_without = [&] {
    return std::make_unique<batch_file>(b.settings, "plant", std::vector<config::record_class>{{"critical", 10}});
  };
  auto f = open_without();
  CHECK(f->retired() == std::map<std::string, std::uint64_t>{{"telemetry", 1}});
  CHECK(f->used().total > 100'000);
  CHECK(batch_file::update(*f).used().total == f->used().total);
  CHECK_FALSE(f->has_class("telemetry"));
  std::ostringstream out;
  CHECK(store::stat(b.settings.directory, false, out) == 0);
  CHECK(out.str().find("telemetry") != std::string::npos);
  f.reset();
  CHECK(b.open()->read_from("telemetry", 1)->seqs == seq_range{1, 10});
}

TEST_CASE("damage that is met in use sets the file aside at the next start, other errors do not", "[store]") {
  bench b;
  auto f = b.open();
  const auto epoch = f->epoch();
  f->condemn(storage::error(ENOSPC, "no room"));
  f.reset();
  f = b.open();
  CHECK(f->epoch() == epoch);
  f->condemn(storage::error(-30796, "page 7 has the wrong type"));  // MDB_CORRUPTED
  f.reset();
  f = b.open();
  CHECK(f->epoch() != epoch);
  CHECK_FALSE(f->set_aside().empty());
  f.reset();
  CHECK(b.open()->set_aside().empty());
}

TEST_CASE("a good file that is put back after damage was met is used", "[store]") {
  bench b;
  const auto epoch = b.open()->epoch();
  const auto good = test::read_file(b.data());
  b.open()->condemn(storage::error(-30796, "page 7 has the wrong type"));  // MDB_CORRUPTED
  test::write_file(b.data(), good);
  const auto f = b.open();
  CHECK(f->epoch() == epoch);
  CHECK(f->set_aside().empty());
}

TEST_CASE("a store whose lock file another version of LMDB holds waits for its end", "[store]") {
  bench b;
  const auto epoch = b.open()->epoch();
  const auto bytes = test::read_file(b.data());
  {
    const test::foreign_lock other(b.settings.directory, test::another_format);
    CHECK_THROWS_WITH(b.open(), Catch::Contains("lock.mdb: a process with another version of LMDB holds it"));
  }
  CHECK(test::read_file(b.data()) == bytes);
  const auto f = b.open();
  CHECK(f->epoch() == epoch);
  CHECK(f->set_aside().empty());
}

TEST_CASE("starts that died have the file examined: sound it stays, damaged it is set aside", "[store]") {
  bench b;
  const auto starts = b.settings.directory + "/starts";
  auto f = b.open();
  const auto epoch = f->epoch();
  for (int i = 0; i < 50; ++i)
    append(*f, std::string(1500, 'x'), 1);
  CHECK(test::read_file(starts) == "1");
  f.reset();
  CHECK_FALSE(std::filesystem::exists(starts));
  test::write_file(starts, "3");
  CHECK(b.open()->epoch() == epoch);
  auto bytes = test::read_file(b.data());
  std::size_t leaves = 0;
  for (std::size_t page = 2; page < bytes.size() / 4096; ++page)
    if (bytes[page * 4096 + 10] == 2 && ++leaves > 0)  // leaf pages: where their entries begin
      std::memset(bytes.data() + page * 4096 + 16, '\xff', 6);
  REQUIRE(leaves > 5);
  test::write_file(b.data(), bytes);
  test::write_file(starts, "3");
  f = b.open();
  CHECK(f->epoch() != epoch);
  CHECK(test::read_file(f->set_aside()) == bytes);
}

TEST_CASE("on a full disk the reserve lets a store be emptied and used again", "[store]") {
  test::small_disk disk(12 << 20);
  if (!disk.mounted())
    return;
  bench b;
  b.settings = {.directory = disk.path("store"), .quota = config::gib(1)};
  auto f = b.open();
  REQUIRE(f->reserve().held());
  const std::string payload(20'000, 'x');
  const auto fails = [](auto work) {
    try {
      work();
      return false;
    } catch (const storage::error& e) {
      CHECK(e.full());
      return true;
    }
  };
  std::uint64_t stored = 0;
  while (!fails([&] { append(*f, payload, 1); }))
    ++stored;
  CHECK(stored > 100);
  disk.fill_but(0);
  CHECK(f->room() < 100'000);
  f->reserve().give_up();
  for (std::uint64_t found = 16; found == 16;) {
    batch_file::update u(*f);
    u.delivered("centre", "telemetry", {{1, stored}});
    found = u.remove("telemetry", {1, stored}, 16);
    u.commit();
  }
  disk.fill_but(0);
  CHECK(f->used().total < 100'000);
  CHECK(f->room() > stored * payload.size());
  for (int i = 0; i < 100; ++i)
    CHECK(append(*f, payload, 1).first == ++stored);
  f.reset();
  f = b.open();  // a full disk hinders no start
  CHECK(f->head("telemetry") == stored);
  CHECK_FALSE(f->reserve().held());
}

TEST_CASE("a first start on a full disk leaves no damaged file behind", "[store]") {
  test::small_disk disk(4 << 20);
  if (!disk.mounted())
    return;
  bench b;
  b.settings = {.directory = disk.path("store"), .quota = config::mib(16)};
  for (std::uint64_t pages = 2; pages < 14; ++pages) {
    disk.fill_but(pages * 4096);
    try {
      b.open();
    } catch (const storage::error& e) {
      CHECK(e.full());
    }
    disk.make_room();
    CHECK(b.open()->set_aside().empty());
    std::filesystem::remove_all(b.settings.directory);
  }
}

TEST_CASE("a quota below the content opens", "[store]") {
  bench b;
  b.settings.quota = config::mib(256);
  auto f = b.open();
  for (int i = 0; i < 40; ++i)
    append(*f, std::string(4 << 20, 'x'), 1);
  f.reset();
  b.settings.quota = config::mib(16);
  f = b.open();
  CHECK(f->used().total > b.settings.quota.count);
  batch_file::update u(*f);
  CHECK(u.remove("telemetry", {1, 40}) == 40);
  u.commit();
  CHECK(f->used().total < b.settings.quota.count);
}
