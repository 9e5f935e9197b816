// Files in whose list of tables, or of what says whose they are, the disk has changed a name.

#include "storage_names.hpp"
#include "store_stocked.hpp"

#include <set>
#include <sstream>

using namespace store_test;

namespace {

/// All that a stocked store has, whichever file it is in.
void check_whole(batch_file& f) {
  CHECK(f.head("telemetry") == 600);
  for (std::uint64_t n = 50; n < 200; ++n) {
    const auto found = f.read_from("telemetry", n * 3 + 1);
    REQUIRE(found);
    CHECK(found->payload.view() == payload(n * 3 + 1, 3, n % 5 == 0 ? 2000 : 100));
  }
}

void check_rows(batch_file& f) {
  producer_table producers;
  delivery_state delivery;
  delivery.want("centre", "telemetry");
  f.load(producers, delivery);
  REQUIRE(producers.find("p") != nullptr);
  CHECK(producers.find("p")->committed == 200);
  CHECK(delivery.delivered("centre", "telemetry") == std::vector<seq_range>{{1, 150}});
}

} // namespace

TEST_CASE("a bit that flips in the name of a table costs neither its records nor its rows", "[store]") {
  struct change { std::string name, other; };
  const auto c = GENERATE(values<change>({{"class/telemetry", "class/telemetrx"},
                                          {"class/telemetry", "cl`ss/telemetry"}, {"meta", "metc"},
                                          {"classes", "classer"}, {"producers", "producerr"},
                                          {"delivery", "deliverx"}}));
  stocked b;
  test::write_file(b.data(), test::with_key(b.sound, c.name, c.other));
  const auto f = b.open();
  INFO(c.other << ": " << f->salvaged());
  CHECK_FALSE(f->set_aside().empty());
  check_whole(*f);
  check_rows(*f);
}

TEST_CASE("a class whose table has another name altogether is found by the seals of its batches", "[store]") {
  stocked b;
  test::write_file(b.data(), test::with_key(b.sound, "class/telemetry", "class/vibration"));
  const auto f = b.open();
  INFO(f->salvaged());
  CHECK_FALSE(f->set_aside().empty());
  check_whole(*f);
  check_rows(*f);
}

TEST_CASE("a class that is no longer configured is missed too", "[store]") {
  stocked b;
  test::write_file(b.data(), test::with_key(b.sound, "class/telemetry", "class/telemetrx"));
  const auto without = std::vector<config::record_class>{{"critical", 10}};
  const auto f = std::make_unique<batch_file>(b.settings, "plant", without);
  CHECK_FALSE(f->set_aside().empty());
  CHECK(f->retired() == std::map<std::string, std::uint64_t>{{"telemetry", 150}});
}

TEST_CASE("a store whose identity cannot be found is damaged, not another program's", "[store]") {
  stocked b;
  test::write_file(b.data(), test::with_key(b.sound, "store", "stnre"));
  const auto f = b.open();
  CHECK_FALSE(f->set_aside().empty());
  check_whole(*f);
  check_rows(*f);
}

TEST_CASE("a table's record with other flags is damage of the file", "[store]") {
  const std::string name = GENERATE("meta", "classes", "class/telemetry", "producers", "delivery");
  const bool in_record = GENERATE(false, true);
  stocked b;
  const auto bad = in_record ? test::with_bits(b.sound, name, test::table_flags(name), 0x80)
                             : test::with_bits(b.sound, name, test::node_flags, 0x02);  // it is no table
  REQUIRE(bad != b.sound);
  test::write_file(b.data(), bad);
  const auto f = b.open();
  INFO(name << ": " << f->salvaged());
  CHECK_FALSE(f->set_aside().empty());
  check_whole(*f);
}

TEST_CASE("what a salvage makes has all of its tables, also those with nothing in them", "[store]") {
  stocked b;
  b.meddle([](storage::environment& env) {
    for (const auto& name : env.table_names()) {
      const auto rows = *env.open_table(name);
      storage::txn t(env, storage::txn::kind::write);
      if (name == "producers")
        t.erase(rows, "p");
      if (name == "delivery")
        t.erase(rows, std::string("centre\0telemetry", 16));
      if (name.starts_with("class/"))
        t.erase_seqs(rows, 0, UINT64_MAX);
      t.commit();
    }
  });
  bench other;
  other.settings.directory = b.dir.path("salvaged");
  std::ostringstream out;
  salvage(b.settings.directory, other.settings.directory, out);
  std::set<std::string> names;
  other.meddle([&](storage::environment& env) {
    const auto all = env.table_names();
    names.insert(all.begin(), all.end());
  });
  CHECK(names.contains("producers"));
  CHECK(names.contains("delivery"));
  CHECK(names.contains("class/telemetry"));
  const auto f = other.open();
  CHECK(f->set_aside().empty());
  CHECK(f->head("telemetry") == 600);
}

TEST_CASE("a first start that died between its tables is finished", "[store]") {
  const auto made = GENERATE(1U, 2U, 3U, 4U);
  bench b;
  const auto epoch = b.open()->epoch();
  std::string identity;
  b.meddle([&](storage::environment& env) {
    const auto meta = *env.open_table("meta");
    identity = *storage::txn(env, storage::txn::kind::read).get(meta, "store");
  });
  std::filesystem::remove_all(b.settings.directory);
  b.meddle([&](storage::environment& env) {
    const std::vector<std::string> tables{"meta", "classes", "producers", "delivery"};
    for (auto i = 0U; i < made; ++i)
      env.open_table(tables[i]);
    const auto meta = *env.open_table("meta");
    storage::txn t(env, storage::txn::kind::write);
    t.put(meta, "store", identity);
    t.commit();
  });
  const auto f = b.open();
  CHECK(f->set_aside().empty());
  CHECK(f->epoch() == epoch);
}
