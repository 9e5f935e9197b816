// Files that are not what LMDB wrote, and disks without room.

#include "common/storage/reserve.hpp"
#include "common/storage/start_marker.hpp"
#include "foreign_lock.hpp"
#include "small_disk.hpp"
#include "storage_sample.hpp"

#include <catch2/catch.hpp>

#include <cstring>

using namespace holdfast::storage;
using test::sample;
namespace fs = std::filesystem;

namespace {

std::string changed(std::string bytes, std::size_t at, char to) {
  bytes[at] = to;
  return bytes;
}

} // namespace

TEST_CASE("a file shorter than its meta page says is damaged and not opened", "[storage]") {
  sample s;
  CHECK(s.damage().empty());
  CHECK(s.opens());
  for (const std::size_t pages : {2U, 3U, 20U}) {
    s.put(s.bytes.substr(0, pages * 4096));
    CHECK(s.damage().find("where its meta page promises") != std::string::npos);
    CHECK_FALSE(s.opens());
    CHECK_THROWS_AS(environment(s.dir.path(), 0, environment::mode::read_only), error);
  }
}

TEST_CASE("meta pages that are none are damage", "[storage]") {
  sample s;
  std::string text;
  SECTION("cut in the first page") { text = s.bytes.substr(0, 100); }
  SECTION("cut in the second page") { text = s.bytes.substr(0, 4096 + 50); }
  SECTION("another magic number") { text = changed(s.bytes, 16, 'M'); }
  SECTION("another version") { text = changed(s.bytes, 20, 2); }
  SECTION("another page size") { text = changed(s.bytes, 41, 3); }
  SECTION("the second meta page") { text = changed(s.bytes, 4096 + 16, 'M'); }
  SECTION("zeros") { text = std::string(s.bytes.size(), '\0'); }
  SECTION("text") { text = std::string(40'000, 't'); }
  s.put(text);
  CHECK(s.damage().find("without LMDB's meta pages") != std::string::npos);
  CHECK_FALSE(s.opens());
  CHECK(test::read_file(s.data) == text);
}

TEST_CASE("no file is no damage; an empty one was a store once and is kept", "[storage]") {
  test::temporary_directory dir;
  CHECK(damage_of(dir.path()).empty());
  test::write_file(dir.path("data.mdb"), "");
  CHECK(damage_of(dir.path()) == "0 bytes without LMDB's meta pages");
  CHECK_THROWS_AS(environment(dir.path(), 1 << 20, environment::mode::read_write), error);
  CHECK(fs::exists(dir.path("data.mdb")));
  fs::remove(dir.path("data.mdb"));
  CHECK_NOTHROW(environment(dir.path(), 1 << 20, environment::mode::read_write));
}

TEST_CASE("a page at the end that was never written is added as a hole", "[storage]") {
  sample s;
  s.put(s.bytes.substr(0, s.bytes.size() - 4096));
  CHECK(s.damage().empty());
  CHECK(s.opens());
  CHECK(fs::file_size(s.data) >= s.bytes.size());
}

TEST_CASE("a lock file that another version of LMDB holds is no damage of the data file", "[storage]") {
  sample s;
  test::temporary_directory fresh;
  const auto cause = [](const std::string& directory, environment::mode m) {
    try {
      environment env(directory, 4 << 20, m);
      return std::string("none");
    } catch (const error& e) {
      CHECK_FALSE(e.unusable());
      CHECK_FALSE(e.full());
      return std::string(e.what());
    }
  };
  for (const auto& header : {test::another_format, test::another_magic}) {
    const test::foreign_lock other(s.dir.path(), header);
    const test::foreign_lock first(fresh.path(), header);
    const auto lock = test::read_file(s.dir.path("lock.mdb"));
    for (auto m : {environment::mode::read_write, environment::mode::read_only})
      CHECK(cause(s.dir.path(), m)
            == "failed to open " + s.dir.path("lock.mdb") + ": a process with another version of LMDB holds it");
    CHECK(examine(s.dir.path()).empty());
    CHECK(test::read_file(s.data) == s.bytes);
    CHECK(test::read_file(s.dir.path("lock.mdb")) == lock);
    CHECK(cause(fresh.path(), environment::mode::read_write).find("lock.mdb") != std::string::npos);
    CHECK(fs::exists(fresh.path("lock.mdb")));
  }
  CHECK(s.opens());
}

TEST_CASE("what is set aside is kept whole and leaves its place free", "[storage]") {
  sample s;
  const auto to = set_aside(s.dir.path(), "for the test");
  CHECK(to.find(s.data + ".damaged-") == 0);
  CHECK(test::read_file(to) == s.bytes);
  CHECK_FALSE(fs::exists(s.data));
  CHECK_FALSE(fs::exists(s.dir.path("lock.mdb")));
}

TEST_CASE("a file above its bound opens with room to be emptied", "[storage]") {
  sample s;
  environment env(s.dir.path(), 64 << 10, environment::mode::read_write);
  CHECK(env.growth(1ULL << 40) >= (64ULL << 20) - 4096);
  const auto rows = *env.open_table("rows");
  txn t(env, txn::kind::write);
  CHECK(t.erase_seqs(rows, 1, 200, 150) == 150);
  t.commit();
  CHECK(txn(env, txn::kind::read).free_bytes() > 100'000);
  txn again(env, txn::kind::write);
  CHECK(again.erase_seqs(rows, 1, 200) == 50);
}

TEST_CASE("a long value whose pages are damaged stays where it is", "[storage]") {
  sample s;
  const auto at = s.bytes.find(std::string(5000, 'x'));
  REQUIRE(at % 4096 == 16);
  s.put(changed(s.bytes, at - 1, '\x7f'));  // says that it has a few hundred million pages
  environment env(s.dir.path(), 4 << 20, environment::mode::read_write);
  const auto rows = *env.open_table("rows");
  txn t(env, txn::kind::write);
  CHECK(t.erase_seqs(rows, 1, 200) == 199);
  CHECK(t.entries(rows) == 1);
  CHECK_NOTHROW(t.commit());
}

TEST_CASE("the reserve is taken, given up, and known again", "[storage]") {
  test::temporary_directory dir;
  reserve r(dir.path());
  CHECK_FALSE(r.held());
  CHECK_FALSE(r.give_up());
  REQUIRE(r.take());
  CHECK(fs::file_size(dir.path("reserve")) == reserve::bytes);
  CHECK(reserve(dir.path()).held());
  CHECK(r.give_up());
  CHECK_FALSE(fs::exists(dir.path("reserve")));
  CHECK_FALSE(reserve(dir.path()).held());
}

TEST_CASE("a first start on a full disk says so and leaves nothing", "[storage]") {
  test::small_disk disk(4 << 20);
  if (!disk.mounted())
    return;
  std::string said;
  for (std::uint64_t pages = 0; pages <= 6; ++pages) {  // room for nothing, the lock file, a part of the data file, all
    disk.fill_but(pages * 4096);
    try {
      environment env(disk.path("store"), 1 << 20, environment::mode::read_write);
      said += "opened ";
    } catch (const error& e) {
      CHECK(e.full());
      CHECK(fs::is_empty(disk.path("store")));
      said += "full ";
    }
    fs::remove_all(disk.path("store"));
    fs::create_directories(disk.path("store"));
  }
  CHECK(said.starts_with("full full "));
  CHECK(said.ends_with("opened "));
}

TEST_CASE("a disk that takes a part of a commit is full", "[storage]") {
  test::small_disk disk(4 << 20);
  if (!disk.mounted())
    return;
  environment env(disk.path("store"), 64 << 20, environment::mode::read_write);
  const auto rows = *env.open_table("rows");
  reserve kept(disk.path("store"));
  CHECK_FALSE(kept.take());  // it would fill the disk
  disk.fill_but(100'000);
  txn t(env, txn::kind::write);
  t.append(rows, seq_key(1), 1'000'000);
  try {
    t.commit();
    FAIL("committed");
  } catch (const error& e) {
    CHECK(e.full());
  }
}
