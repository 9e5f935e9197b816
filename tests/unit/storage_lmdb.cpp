#include "common/storage/lmdb.hpp"
#include "storage_support.hpp"

#include <lmdb.h>

#include <cerrno>
#include <cstring>

using namespace holdfast::storage;

namespace {

struct file {
  test::temporary_directory dir;
  environment env{dir.path(), 16 << 20, environment::mode::read_write};
  table rows = *env.open_table("rows");

  void fill(std::initializer_list<std::uint64_t> seqs) {
    txn t(env, txn::kind::write);
    for (auto s : seqs)
      std::memcpy(t.append(rows, seq_key(s), 2), "ab", 2);
    t.commit();
  }
  std::string keys() {
    std::string out;
    txn t(env, txn::kind::read);
    cursor c(t, rows);
    for (auto e = c.first(); e; e = c.next())
      out += std::to_string(key_seq(e->key)) + " ";
    return out;
  }
};

} // namespace

TEST_CASE("seq keys sort as their numbers do", "[storage]") {
  CHECK(seq_key(0x0102030405060708) == "\x01\x02\x03\x04\x05\x06\x07\x08");
  CHECK(seq_key(255) < seq_key(256));
  CHECK(seq_key(1) < seq_key(UINT64_MAX));
  CHECK(key_seq(seq_key(UINT64_MAX)) == UINT64_MAX);
  CHECK(key_seq("short") == 0);
}

TEST_CASE("appended entries come back in order, and only ascending keys are taken", "[storage]") {
  file f;
  f.fill({1, 5, 300});
  CHECK(f.keys() == "1 5 300 ");
  txn t(f.env, txn::kind::write);
  CHECK(t.get(f.rows, seq_key(5)) == "ab");
  CHECK_FALSE(t.get(f.rows, seq_key(6)));
  CHECK(t.entries(f.rows) == 3);
  CHECK(t.used_bytes(f.rows) >= 4096);
  CHECK_THROWS_AS(t.append(f.rows, seq_key(4), 1), error);
}

TEST_CASE("what is not committed did not happen", "[storage]") {
  file f;
  {
    txn t(f.env, txn::kind::write);
    t.put(f.rows, "key", "value");
  }
  txn t(f.env, txn::kind::write);
  CHECK_FALSE(t.get(f.rows, "key"));
  t.put(f.rows, "key", "other");
  CHECK(t.erase(f.rows, "key"));
  CHECK_FALSE(t.erase(f.rows, "key"));
}

TEST_CASE("erase_seqs deletes what begins within the range", "[storage]") {
  file f;
  f.fill({1, 10, 20, 30, 40});
  txn t(f.env, txn::kind::write);
  CHECK(t.erase_seqs(f.rows, 2, 9) == 0);
  CHECK(t.erase_seqs(f.rows, 10, 30) == 3);
  CHECK(t.erase_seqs(f.rows, 41, UINT64_MAX) == 0);
  t.commit();
  CHECK(f.keys() == "1 40 ");
  txn again(f.env, txn::kind::write);
  CHECK(again.erase_seqs(f.rows, 0, UINT64_MAX) == 2);
  CHECK(again.erase_seqs(f.rows, 0, UINT64_MAX) == 0);
}

TEST_CASE("a cursor finds its neighbours", "[storage]") {
  file f;
  const auto seq = [](const std::optional<cursor::entry>& e) { return e ? key_seq(e->key) : 0; };
  {
    txn t(f.env, txn::kind::read);
    cursor c(t, f.rows);
    CHECK_FALSE(c.first());
    CHECK_FALSE(c.last());
    CHECK_FALSE(c.at_or_before(seq_key(9)));
  }
  f.fill({10, 20, 30});
  txn t(f.env, txn::kind::read);
  cursor c(t, f.rows);
  CHECK(seq(c.last()) == 30);
  CHECK(seq(c.at_or_after(seq_key(11))) == 20);
  CHECK(seq(c.at_or_after(seq_key(20))) == 20);
  CHECK(seq(c.at_or_after(seq_key(31))) == 0);
  CHECK(seq(c.at_or_before(seq_key(20))) == 20);
  CHECK(seq(c.at_or_before(seq_key(29))) == 20);
  CHECK(seq(c.at_or_before(seq_key(99))) == 30);
  CHECK(seq(c.at_or_before(seq_key(9))) == 0);
}

TEST_CASE("a full map is an error that says so, and deleting makes room", "[storage]") {
  test::temporary_directory dir;
  environment env(dir.path(), 1 << 20, environment::mode::read_write);
  const auto rows = *env.open_table("rows");
  std::uint64_t stored = 0;
  const auto put_one = [&] {
    txn t(env, txn::kind::write);
    t.append(rows, seq_key(stored + 1), 50'000)[0] = 'x';
    t.commit();
    ++stored;
  };
  try {
    for (;;)
      put_one();
  } catch (const error& e) {
    CHECK(e.full());
    CHECK_FALSE(e.damaged());
    CHECK(std::string(e.what()).find("failed to append entry") == 0);
  }
  CHECK(stored > 10);
  {
    txn t(env, txn::kind::write);
    CHECK(t.erase_seqs(rows, 1, stored / 2) == stored / 2);
    t.commit();
  }
  {
    txn t(env, txn::kind::write);  // pages that a commit frees are used again from the second commit after it on
    t.put(rows, seq_key(0), "small");
    t.commit();
  }
  CHECK_NOTHROW(put_one());
}

TEST_CASE("errors are sorted into full, damaged and others", "[storage]") {
  for (int code : {MDB_MAP_FULL, ENOSPC, EDQUOT}) {
    CHECK(error(code, "").full());
    CHECK_FALSE(error(code, "").damaged());
  }
  for (int code : {MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_INVALID, MDB_VERSION_MISMATCH, MDB_CURSOR_FULL,
                   MDB_INCOMPATIBLE}) {
    CHECK(error(code, "").damaged());
    CHECK(error(code, "").unusable());
  }
  CHECK_FALSE(error(MDB_PANIC, "").damaged());
  CHECK(error(MDB_PANIC, "").unusable());
  CHECK_FALSE(error(EACCES, "").damaged());
  CHECK_FALSE(error(EACCES, "").full());
  CHECK(error(EACCES, "").code() == EACCES);
}

TEST_CASE("a reader sees tables that are there and creates none", "[storage]") {
  file f;
  f.fill({1});
  CHECK(f.env.table_names() == std::vector<std::string>{"rows"});
  CHECK(f.env.clear_dead_readers() == 0);
  CHECK_NOTHROW(f.env.adopt_map_size());
  test::temporary_directory copy;
  std::filesystem::copy(f.dir.path("data.mdb"), copy.path("data.mdb"));
  environment reader(copy.path(), 0, environment::mode::read_only);
  CHECK(reader.read_only());
  CHECK(reader.directory() == copy.path());
  CHECK(reader.open_table("rows"));
  CHECK_FALSE(reader.open_table("others"));
  CHECK_THROWS_AS(txn(reader, txn::kind::write), error);
}

TEST_CASE("what is not an LMDB file is damaged, a missing directory is not", "[storage]") {
  test::temporary_directory dir;
  test::write_file(dir.path("data.mdb"), std::string(8192, 'z'));
  try {
    environment env(dir.path(), 1 << 20, environment::mode::read_write);
    FAIL("opened");
  } catch (const error& e) {
    CHECK(e.damaged());
    CHECK(std::string(e.what()).find(dir.path()) != std::string::npos);
  }
  try {
    environment env(dir.path("nowhere"), 1 << 20, environment::mode::read_write);
    FAIL("opened");
  } catch (const error& e) {
    CHECK_FALSE(e.damaged());
  }
}
