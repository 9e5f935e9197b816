// What a start knows of the lives before it, and the examination of a file apart.

#include "common/storage/start_marker.hpp"
#include "small_disk.hpp"
#include "storage_names.hpp"
#include "storage_sample.hpp"

#include <catch2/catch.hpp>
#include <lmdb.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <new>
#include <unistd.h>

using namespace holdfast::storage;
using test::sample;
namespace fs = std::filesystem;

TEST_CASE("an examination finds damage inside, touches nothing and survives", "[storage]") {
  sample s;
  CHECK(examine(s.dir.path()).empty());
  CHECK(test::read_file(s.data) == s.bytes);
  CHECK(examine(s.dir.path("nowhere")).empty());
  std::string bad = s.bytes;
  for (std::size_t page = 2; page < bad.size() / 4096; ++page)
    std::memset(bad.data() + page * 4096, '\xa5', 20);
  s.put(bad);
  CHECK_FALSE(examine(s.dir.path()).empty());
  CHECK(test::read_file(s.data) == bad);
}

TEST_CASE("an examination believes other flags of a table's record in another program's file only", "[storage]") {
  const bool store = GENERATE(false, true);
  test::temporary_directory dir;
  {
    environment env(dir.path(), 1 << 20, environment::mode::read_write);
    for (const std::string name : {"meta", "rows", store ? "delivery" : "other"}) {
      const auto rows = *env.open_table(name);
      txn t(env, txn::kind::write);
      t.put(rows, "key", "value");
      t.commit();
    }
  }
  const auto path = dir.path("data.mdb");
  const auto sound = test::read_file(path);
  CHECK(examine(dir.path()).empty());
  for (const std::string name : {"meta", "rows"})
    for (const auto& bad : {test::with_bits(sound, name, test::node_flags, 0x02),
                            test::with_bits(sound, name, test::table_flags(name), 0x80)}) {
      REQUIRE(bad != sound);
      test::write_file(path, bad);
      CHECK(examine(dir.path()).empty() == !store);
    }
}

TEST_CASE("an examiner that dies is damage only by a signal of damage", "[storage]") {
  const auto after = [](std::function<void()> look, unsigned limit_millis = 20'000) {
    return examine_apart(look, limit_millis);
  };
  for (int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL})
    CHECK(after([&] { ::raise(signal); }).damage.find("reading it ends with ") == 0);
  for (int signal : {SIGKILL, SIGTERM, SIGXCPU}) {  // the OOM killer, an operator, a limit
    const auto e = after([&] {
      std::signal(signal, SIG_DFL);
      ::raise(signal);
    });
    CHECK(e.damage.empty());
    CHECK(e.missed.find("reading it ends with ") == 0);
  }
  CHECK(after([] { throw error(MDB_CORRUPTED, "page 7"); }).damage == "page 7");
  CHECK(after([] { throw error(ENOSPC, "no room"); }).missed == "no room");
  CHECK(after([] { throw error(ENOSPC, "no room"); }).damage.empty());
  CHECK(after([] { throw std::bad_alloc(); }).damage.empty());
  CHECK_FALSE(after([] { throw std::bad_alloc(); }).missed.empty());
  CHECK(after([] { ::pause(); }, 1).missed == "it took longer than 1 ms");
  CHECK(after([] {}).missed.empty());
}

TEST_CASE("an examination on a full disk finds nothing, also without a lock file", "[storage]") {
  test::small_disk disk(4 << 20);
  if (!disk.mounted())
    return;
  { environment(disk.path("store"), 1 << 20, environment::mode::read_write).open_table("meta"); }
  fs::remove(disk.path("store/lock.mdb"));
  disk.fill_but(0);
  CHECK(examine(disk.path("store")).empty());
}

TEST_CASE("starts are counted until one settles; what was found is told until the file is replaced", "[storage]") {
  sample s;
  const auto& dir = s.dir;
  for (unsigned before = 0; before < 4; ++before)
    CHECK(start_marker(dir.path()).failed() == before);
  start_marker good(dir.path());
  good.settled();
  {
    start_marker m(dir.path());
    CHECK(m.failed() == 0);
    m.condemn("page 7");
    m.settled();  // an orderly end does not take that back
  }
  {
    start_marker m(dir.path());
    CHECK(m.condemned() == "page 7");
    m.settled();
  }
  start_marker m(dir.path());
  CHECK(m.condemned() == "page 7");
  m.file_replaced();
  CHECK(m.condemned().empty());
  CHECK(start_marker(dir.path()).failed() == 1);
}

TEST_CASE("what was found is told of the file it was found in", "[storage]") {
  sample s;
  start_marker(s.dir.path()).condemn("page 7");
  bool same = false;
  SECTION("the file as it was") { same = true; }
  SECTION("with later commits") {
    environment env(s.dir.path(), 4 << 20, environment::mode::read_write);
    env.open_table("more");
    same = true;
  }
  SECTION("another file, moved in its place") {
    test::write_file(s.dir.path("good"), s.bytes);
    fs::rename(s.dir.path("good"), s.data);
  }
  SECTION("another file, copied over it") { s.put(s.bytes); }
  SECTION("none") { fs::remove(s.data); }
  SECTION("a marker that names no file") { test::write_file(s.dir.path("starts"), "damaged: page 7"); }
  CHECK(start_marker(s.dir.path()).condemned() == (same ? "page 7" : ""));
  CHECK(start_marker(s.dir.path()).failed() == (same ? 0 : 1));
}

TEST_CASE("a file lives on in itself only", "[storage]") {
  const file_state then{7, 100, 5000};
  CHECK(then.lives_on_in({7, 100, 5000}));
  CHECK(then.lives_on_in({7, 101, 6000}));
  CHECK_FALSE(then.lives_on_in({7, 100, 6000}));
  CHECK_FALSE(then.lives_on_in({7, 99, 6000}));
  CHECK_FALSE(then.lives_on_in({8, 100, 5000}));
  CHECK_FALSE(then.lives_on_in({8, 101, 6000}));
  CHECK_FALSE(file_state{}.lives_on_in({}));
}
