// Batches whose header or key a disk has changed: what they hold goes on, or is believed nowhere.

#include "common/storage/row.hpp"
#include "store_stocked.hpp"

#include <fstream>

using namespace store_test;

TEST_CASE("a flipped bit in a batch's header hides no record", "[store]") {
  bench b;
  { append(*b.open(), payload(1, 10, 50), 10); append(*b.open(), payload(11, 5, 50), 5); }
  SECTION("fewer records") { damage(b, 1, 4, 2); }
  SECTION("more records") { damage(b, 1, 4, 11); }
  SECTION("a gap") { damage(b, 1, 2, 1); }
  SECTION("in layout 1 neither: fewer") { in_first_layout(b, 1, 2); }
  SECTION("none") { in_first_layout(b, 1, 0); }
  auto f = b.open();
  const auto first = f->read_from("telemetry", 1);
  CHECK(first->seqs == seq_range{1, 10});
  CHECK(first->gap_reason == 0);
  CHECK(first->payload.view() == payload(1, 10, 50));
  CHECK(f->read_from("telemetry", 5)->seqs == seq_range{1, 10});
}

TEST_CASE("a batch whose number has changed is believed under none", "[store]") {
  bench b;
  { append(*b.open(), payload(1, 10, 50), 10); append(*b.open(), payload(11, 5, 50), 5); }
  b.meddle([](storage::environment& env) {
    const auto rows = *env.open_table("class/telemetry");
    storage::txn t(env, storage::txn::kind::write);
    const std::string value(*t.get(rows, storage::seq_key(11)));
    REQUIRE(t.erase(rows, storage::seq_key(11)));
    t.put(rows, storage::seq_key(12), value);
    t.commit();
  });
  const auto found = salvage({.file = b.data()});
  CHECK(found.classes.at("telemetry").held == std::vector<seq_range>{{1, 10}});
  auto f = b.open();
  CHECK(f->read_from("telemetry", 1)->payload.view() == payload(1, 10, 50));
  const auto moved = f->read_from("telemetry", 11);
  CHECK(moved->seqs == seq_range{12, 15});
  CHECK(moved->unreadable);
}

TEST_CASE("keys out of order are damage of the file, which costs only what they say", "[store]") {
  stocked b;
  auto f = b.open();
  const auto key = storage::seq_key(400) + std::string("\x02\x02", 2);
  const auto bytes = test::read_file(b.data());
  REQUIRE(bytes.find(key) != std::string::npos);
  std::fstream file(b.data(), std::ios::in | std::ios::out | std::ios::binary);
  for (auto at = bytes.find(key); at != std::string::npos; at = bytes.find(key, at + 1))
    file.seekp(static_cast<std::streamoff>(at)) << storage::seq_key(404) << std::flush;  // behind the next
  CHECK_THROWS_WITH(f->read_from("telemetry", 400), Catch::Contains("keys out of order"));
  f.reset();
  f = b.open();
  CHECK_FALSE(f->set_aside().empty());
  CHECK(f->salvaged().find("(seq 151-399, 403-600), 3 lost: seq 400-402") != std::string::npos);
}

TEST_CASE("a store of the first layout is read, and from then on for this version", "[store]") {
  bench b;
  { append(*b.open(), payload(1, 10, 50), 10); append(*b.open(), payload(11, 5, 50), 5); }
  in_first_layout(b, 1, 10);
  b.meddle([](storage::environment& env) {
    const auto meta = *env.open_table("meta");
    storage::txn t(env, storage::txn::kind::write);
    auto id = storage::parse<v1::StoreIdentity>("meta", "store", *t.get(meta, "store"));
    id.set_schema(1);
    id.set_oldest_reader(1);
    t.put(meta, "store", storage::seal("meta", "store", id));
    t.commit();
  });
  {
    auto f = b.open();
    CHECK(f->read_from("telemetry", 1)->payload.view() == payload(1, 10, 50));
    CHECK(f->read_from("telemetry", 11)->payload.view() == payload(11, 5, 50));
  }
  b.meddle([](storage::environment& env) {
    const auto meta = *env.open_table("meta");
    storage::txn t(env, storage::txn::kind::read);
    const auto id = storage::parse<v1::StoreIdentity>("meta", "store", *t.get(meta, "store"));
    CHECK(id.schema() == store_schema);
    CHECK(id.oldest_reader() == store_schema);
  });
}
