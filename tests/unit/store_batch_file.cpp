#include "holdfast/v1/storage.pb.h"
#include "store_file_bench.hpp"

using namespace store_test;

TEST_CASE("batches get contiguous seqs and are read back", "[store]") {
  bench b;
  auto f = b.open();
  CHECK(f->head("telemetry") == 0);
  CHECK(append(*f, "one", 3) == seq_range{1, 3});
  CHECK(append(*f, "two", 4) == seq_range{4, 7});
  CHECK(append(*f, "urgent", 1, "critical") == seq_range{1, 1});
  CHECK(f->head("telemetry") == 7);
  CHECK(f->heads().at("critical") == 1);
  CHECK(f->read_from("telemetry", 2)->seqs == seq_range{1, 3});
  const auto second = f->read_from("telemetry", 4);
  REQUIRE(second);
  CHECK(second->seqs == seq_range{4, 7});
  CHECK(second->payload.view() == "two");
  CHECK(second->crc == crc32c("two"));
  CHECK(second->gap_reason == 0);
  CHECK(f->read_from("telemetry", 5)->seqs == seq_range{4, 7});
  CHECK_FALSE(f->read_from("telemetry", 8));
  CHECK(f->stored_at("telemetry", 1).value_or(0) > 0);
  CHECK_FALSE(f->stored_at("telemetry", 5));
  CHECK(f->has_class("critical"));
  CHECK_FALSE(f->has_class("bulk"));
}

TEST_CASE("an update that is not committed leaves nothing", "[store]") {
  bench b;
  auto f = b.open();
  {
    batch_file::update u(*f);
    CHECK(u.append("telemetry", 5, 0, "lost") == seq_range{1, 5});
    u.producer("p", "telemetry", 1, "x");
  }
  CHECK(f->head("telemetry") == 0);
  CHECK_FALSE(f->read_from("telemetry", 1));
  CHECK(append(*f, "kept", 2) == seq_range{1, 2});
}

TEST_CASE("a reopened store knows what was kept of links and switches", "[store]") {
  bench b;
  auto f = b.open();
  CHECK(f->links().empty());
  {
    batch_file::update u(*f);
    holdfast::v1::LinkRow row;
    row.set_drained(true);
    row.set_used_day(17);
    u.link("fibre", row);
    holdfast::v1::JournalRow journal;
    journal.add_switches()->set_from("fibre");
    u.journal("centre", journal);
    u.commit();
  }
  f.reset();
  f = b.open();
  CHECK(f->links().at("fibre").drained());
  CHECK(f->links().at("fibre").used_day() == 17);
  CHECK(f->journals().at("centre").switches(0).from() == "fibre");
}

TEST_CASE("a reopened store knows its numbers, producers and deliveries", "[store]") {
  bench b;
  auto f = b.open();
  const auto epoch = f->epoch();
  CHECK(epoch != 0);
  append(*f, "one", 3);
  {
    batch_file::update u(*f);
    u.producer("acquisition/p", "telemetry", 17, std::string("po\0s", 4));
    u.delivered("centre", "telemetry", {{1, 1}, {3, 3}});
    u.delivered("other", "telemetry", {{1, 1}});
    CHECK(u.used().total > 0);
    u.remove("telemetry", {1, 3});
    u.commit();
  }
  f.reset();
  f = b.open();
  CHECK(f->epoch() == epoch);
  CHECK(f->set_aside().empty());
  CHECK(f->head("telemetry") == 3);
  CHECK_FALSE(f->read_from("telemetry", 1));
  CHECK(append(*f, "two", 2) == seq_range{4, 5});
  producer_table producers;
  delivery_state delivery;
  delivery.want("centre", "telemetry");
  f->load(producers, delivery);
  REQUIRE(producers.find("acquisition/p") != nullptr);
  CHECK(producers.find("acquisition/p")->committed == 17);
  CHECK(producers.find("acquisition/p")->taken == 17);
  CHECK(producers.find("acquisition/p")->position == std::string("po\0s", 4));
  CHECK(delivery.delivered("centre", "telemetry") == std::vector<seq_range>{{1, 1}, {3, 3}});
  CHECK(delivery.delivered("other", "telemetry").empty());
}

TEST_CASE("a second store on the same directory is refused", "[store]") {
  bench b;
  auto f = b.open();
  CHECK_THROWS_AS(b.open(), service::already_running);
  f.reset();
  CHECK_NOTHROW(b.open());
}

TEST_CASE("another program's LMDB file is refused by name and not written to", "[store]") {
  for (std::string table : {"accounts", "meta"}) {
    bench b;
    b.meddle([&](storage::environment& env) {
      const auto rows = *env.open_table(table);
      storage::txn t(env, storage::txn::kind::write);
      t.put(rows, "key", "value");
      t.commit();
    });
    const auto before = test::read_file(b.data());
    CHECK(b.refused().find(b.settings.directory) != std::string::npos);
    CHECK(test::read_file(b.data()) == before);
  }
}

TEST_CASE("another program's plain entries stay as they are, also one that is called meta", "[store]") {
  bench b;
  b.meddle([](storage::environment& env) {
    const auto main = env.main_table();
    storage::txn t(env, storage::txn::kind::write);
    t.put(main, "meta", "value");
    t.commit();
  });
  const auto before = test::read_file(b.data());
  CHECK(b.refused().find("another program") != std::string::npos);
  CHECK(test::read_file(b.data()) == before);
}

TEST_CASE("a start that died between its first two commits is finished", "[store]") {
  bench b;
  b.meddle([](storage::environment& env) { env.open_table("meta"); });
  CHECK(b.open()->epoch() != 0);
}

TEST_CASE("a collector's directory and a newer store's are refused and not written to", "[store]") {
  for (bool newer : {false, true}) {
    bench b;
    b.meddle([&](storage::environment& env) {
      v1::StoreIdentity id;
      id.set_schema(7);
      id.set_oldest_reader(newer ? store_schema + 1 : store_schema);
      id.set_kind(newer ? store_kind : "holdfast-collector");
      const auto meta = *env.open_table("meta");
      storage::txn t(env, storage::txn::kind::write);
      t.put(meta, "store", id.SerializeAsString());
      t.commit();
    });
    const auto before = test::read_file(b.data());
    CHECK(b.refused().find(newer ? "written by a newer version (schema 7" : "it is a holdfast-collector")
          != std::string::npos);
    CHECK(test::read_file(b.data()) == before);
  }
}

TEST_CASE("a newer store that older ones may read is opened", "[store]") {
  bench b;
  const auto epoch = b.open()->epoch();
  b.meddle([&](storage::environment& env) {
    v1::StoreIdentity id;
    id.set_schema(2);
    id.set_oldest_reader(1);
    id.set_kind(store_kind);
    id.set_epoch(epoch);
    const auto meta = *env.open_table("meta");
    storage::txn t(env, storage::txn::kind::write);
    t.put(meta, "store", id.SerializeAsString());
    t.commit();
  });
  CHECK(b.open()->epoch() == epoch);
}

TEST_CASE("a damaged data file is set aside and kept, and a new one begun", "[store]") {
  bench b;
  const auto epoch = b.open()->epoch();
  const std::string rubbish(16384, '\x5a');
  test::write_file(b.data(), rubbish);
  auto f = b.open();
  CHECK(f->epoch() != epoch);
  CHECK(f->head("telemetry") == 0);
  REQUIRE_FALSE(f->set_aside().empty());
  CHECK(test::read_file(f->set_aside()) == rubbish);
  CHECK(append(*f, "one", 1) == seq_range{1, 1});
}

TEST_CASE("an identity or a row that is not understood is damage: the file is set aside and kept", "[store]") {
  for (const auto& [table, key] : std::map<std::string, std::string>{
         {"meta", "store"}, {"classes", "telemetry"}, {"producers", "p"}, {"delivery", std::string("d\0telemetry", 11)}}) {
    INFO(table);
    bench b;
    const auto epoch = b.open()->epoch();
    b.meddle([&, table = table, key = key](storage::environment& env) {
      const auto rows = *env.open_table(table);
      storage::txn t(env, storage::txn::kind::write);
      t.put(rows, key, "\xff\xff\xff");
      t.commit();
    });
    const auto before = test::read_file(b.data());
    auto f = b.open();
    CHECK(f->epoch() != epoch);
    REQUIRE_FALSE(f->set_aside().empty());
    CHECK(test::read_file(f->set_aside()) == before);
  }
}

TEST_CASE("a full store says so and goes on after a removal", "[store]") {
  bench b;
  b.settings.quota = config::bytes{0};  // the reserve of 64 MiB is left
  auto f = b.open();
  const std::string payload(4 << 20, 'x');
  std::uint64_t stored = 0;
  try {
    for (;; ++stored)
      append(*f, payload, 1);
  } catch (const storage::error& e) {
    CHECK(e.full());
  }
  CHECK(stored > 8);
  CHECK(f->head("telemetry") == stored);
  {
    batch_file::update u(*f);
    u.remove("telemetry", {1, stored});
    u.commit();
  }
  {
    batch_file::update u(*f);  // LMDB uses freed pages from the second commit after on
    u.delivered("centre", "telemetry", {{1, stored}});
    u.commit();
  }
  CHECK(append(*f, payload, 1).first == stored + 1);
}
