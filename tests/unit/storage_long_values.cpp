// Values on pages of their own, whose header a disk has changed.

#include "storage_sample.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace holdfast::storage;

namespace {

struct place {
  std::size_t at;
  char bits;
};
const place number{0, 0x01}, in_memory{10, 0x10}, pages{12, 0x02};

/// A file with long values, open while the disk changes it.
struct rows_file {
  test::temporary_directory dir;
  environment env{dir.path(), 4 << 20, environment::mode::read_write};
  table rows = *env.open_table("rows");

  void put(const std::string& key, const std::string& value) {
    txn t(env, txn::kind::write);
    t.put(rows, key, value);
    t.commit();
  }
  bool sound() {
    try {
      txn(env, txn::kind::read).check_pages(rows);
      return true;
    } catch (const error& e) {
      CHECK(e.damaged());
      return false;
    }
  }
  /// Of the pages where this is.
  void change(const std::string& value, place p) const {
    const auto path = dir.path("data.mdb");
    const auto bytes = test::read_file(path);
    const auto at = bytes.find(value);
    REQUIRE(at % 4096 == 16);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at - 16 + p.at)).put(static_cast<char>(bytes[at - 16 + p.at] ^ p.bits));
  }
};

} // namespace

TEST_CASE("a long value whose pages are damaged is not written over", "[storage]") {
  rows_file f;
  const std::string value(5000, 'v');
  f.put("before", std::string(3000, 'b'));
  f.put("row", value);
  CHECK(f.sound());
  f.change(value, GENERATE(number, in_memory, pages));
  CHECK_FALSE(f.sound());
  txn t(f.env, txn::kind::write);
  CHECK_THROWS_WITH(t.put(f.rows, "row", std::string(4000, 'w')), Catch::Contains("not what LMDB wrote"));
  CHECK_NOTHROW(t.put(f.rows, "before", std::string(9000, 'c')));
}

TEST_CASE("a long value that is written again, longer or shorter, keeps no page too many", "[storage]") {
  rows_file f;
  for (const bool at_once : {false, true}) {
    auto t = std::make_unique<txn>(f.env, txn::kind::write);
    for (std::size_t bytes : {3000U, 20'000U, 5000U, 2031U, 10U, 9000U, 4000U}) {
      t->put(f.rows, "row", std::string(bytes, 'v'));
      CHECK(t->get(f.rows, "row")->size() == bytes);
      if (at_once)
        continue;
      t->commit();
      CHECK(f.sound());
      t = std::make_unique<txn>(f.env, txn::kind::write);
    }
    t->commit();
    CHECK(f.sound());
    CHECK(txn(f.env, txn::kind::read).used_bytes(f.rows) == 2 * 4096);
  }
}

TEST_CASE("values from where LMDB gives them pages of their own stay when these are damaged", "[storage]") {
  const std::size_t bytes = GENERATE(2022U, 2023U, 2047U, 2048U);
  rows_file f;
  for (std::uint64_t n = 1; n <= 3; ++n)
    f.put(seq_key(n), std::string(bytes, static_cast<char>('a' + n)));
  const bool on_pages = bytes > 2022;  // with a key of eight bytes
  if (on_pages)
    f.change(std::string(bytes, 'c'), GENERATE(number, in_memory, pages));
  CHECK(f.sound() == !on_pages);
  txn t(f.env, txn::kind::write);
  CHECK(t.erase_seqs(f.rows, 1, 3) == (on_pages ? 2 : 3));
  CHECK_NOTHROW(t.commit());
}
