// What a commit that never happened leaves on pages that count as free, and a salvage that must not believe it.

#include "common/storage/raw_file.hpp"
#include "common/storage/raw_layout.hpp"
#include "common/storage/row.hpp"
#include "store_stocked.hpp"

#include <algorithm>

using namespace store_test;
namespace layout = storage::layout;

namespace {

constexpr std::size_t page = 4096;

std::size_t newest_meta(const std::string& bytes) {
  return at<std::uint64_t>(bytes, 144) > at<std::uint64_t>(bytes, page + 144) ? 0 : page;
}

/// Where the first list of free pages begins: how many, then their numbers.
std::size_t free_list(const std::string& bytes) {
  auto p = at<std::uint64_t>(bytes, newest_meta(bytes) + 80) * page;
  const auto node = [&] { return p + at<std::uint16_t>(bytes, p + 16); };
  while (at<std::uint16_t>(bytes, p + 10) == layout::branch)
    p = at<std::uint32_t>(bytes, node()) * page;
  const auto value = node() + 8 + at<std::uint16_t>(bytes, node() + 6);
  const bool far = (at<std::uint16_t>(bytes, node() + 4) & layout::big_value) != 0;
  return far ? at<std::uint64_t>(bytes, value) * page + 16 : value;
}

std::string word(std::uint64_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

/// 600 records of producer p, number 200, and the pages of a commit of 3 more, number 201, whose meta page was never
/// written.
struct interrupted : stocked {
  std::string bytes;

  interrupted() {
    {
      auto f = open();
      batch_file::update u(*f);
      const auto text = payload(601, 3, 100);
      u.append("telemetry", 3, crc32c(text), text);
      u.producer("p", "telemetry", 201, "there");
      u.commit();
    }
    bytes = test::read_file(data());
    bytes.replace(0, 2 * page, sound, 0, 2 * page);
    begin_with(bytes);
  }
  void begin_with(const std::string& what) const {
    std::filesystem::remove_all(settings.directory);
    std::filesystem::create_directories(settings.directory);
    test::write_file(data(), what);
  }
  std::string with_bad_free_list() const {
    auto changed = bytes;
    const auto first = free_list(changed) + 8;
    changed[first + 7] = static_cast<char>(changed[first + 7] ^ 0x40);
    return changed;
  }
  /// The table as the newest list of tables has it.
  storage::raw_file::database table(const std::string& name) const {
    return storage::raw_file(data()).tables([](auto&) { return 1; }, {}).at(name);
  }
  std::string problems() const {
    std::string all;
    for (auto& p : salvage({.file = data()}).problems)
      all += p + "; ";
    return all;
  }
};

void check_as_committed(batch_file& f) {
  producer_table producers;
  delivery_state delivery;
  f.load(producers, delivery);
  INFO(f.salvaged());
  CHECK(producers.find("p")->committed == 200);
  CHECK(f.head("telemetry") == 600);
  CHECK_FALSE(f.read_from("telemetry", 601));
  CHECK(f.read_from("telemetry", 598)->payload.view() == payload(598, 3, 100));
}

} // namespace

TEST_CASE("what a commit that never happened left is believed by no salvage of a bad list of free pages", "[store]") {
  interrupted b;
  check_as_committed(*b.open());
  b.begin_with(b.with_bad_free_list());
  const auto f = b.open();
  CHECK_FALSE(f->set_aside().empty());
  CHECK(f->salvaged().find("lost") == std::string::npos);
  check_as_committed(*f);
}

TEST_CASE("a number in the list of free pages that is that of a batch's page makes no table an older one", "[store]") {
  interrupted b;
  auto changed = b.bytes;
  const auto list = free_list(changed);
  REQUIRE(at<std::uint64_t>(changed, list) > 0);
  const auto leaf = telemetry_root(changed) / page;
  changed.replace(list, 16, word(1) + word(leaf));
  b.begin_with(changed);
  const auto f = b.open();
  CHECK_FALSE(f->set_aside().empty());
  check_as_committed(*f);
}

TEST_CASE("a row that lies in its table is not replaced where another one of it is bad", "[store]") {
  interrupted b;
  b.begin_with(b.sound);
  b.meddle([&](storage::environment& env) {
    const auto rows = *env.open_table("producers");
    storage::txn t(env, storage::txn::kind::write);
    t.put(rows, "q", "\xff");
    t.commit();
  });
  const auto committed = test::read_file(b.data());
  {
    storage::environment env(b.settings.directory, 16 << 20, storage::environment::mode::read_write);
    const auto rows = *env.open_table("producers");
    v1::ProducerRow row;
    row.set_last_seq(201);
    storage::txn t(env, storage::txn::kind::write);
    t.put(rows, "p", storage::seal("producers", "p", row));
    t.put(rows, "q", storage::seal("producers", "q", row));
    t.commit();
  }
  auto bytes = test::read_file(b.data());
  bytes.replace(0, 2 * page, committed, 0, 2 * page);
  bench other;
  for (const bool rows_only : {false, true}) {
    b.begin_with(bytes);
    other.settings.directory = b.dir.path(rows_only ? "rows" : "all");
    const auto found = salvage({.file = b.data(), .into = other.settings.directory, .rows_only = rows_only});
    const auto f = other.open();
    producer_table producers;
    delivery_state delivery;
    f->load(producers, delivery);
    CHECK(producers.find("p")->committed == 200);
    const bool doubt = std::any_of(found.problems.begin(), found.problems.end(), [](auto& p) {
      return p.find("producers: 1 rows are from pages that nothing leads to") == 0;
    });
    CHECK((producers.find("q") != nullptr) == doubt);
    CHECK(doubt == rows_only);
  }
}

TEST_CASE("rows alone: a bad row of another table replaces none of a producer", "[store]") {
  interrupted b;
  auto changed = b.bytes;
  const auto root = b.table("classes").root * page;
  const auto row = root + at<std::uint16_t>(changed, root + 16) + 8;
  REQUIRE(changed.compare(row, 9, "telemetry") == 0);
  changed[row + 10] = static_cast<char>(changed[row + 10] ^ 1);
  b.begin_with(changed);
  bench other;
  other.settings.directory = b.dir.path("rows");
  const auto found = salvage({.file = b.data(), .into = other.settings.directory, .rows_only = true});
  CHECK_FALSE(found.problems.empty());
  const auto f = other.open();
  producer_table producers;
  delivery_state delivery;
  f->load(producers, delivery);
  CHECK(producers.find("p")->committed == 200);
}

TEST_CASE("where the newest list of tables is lost the doubt is told", "[store]") {
  interrupted b;
  auto changed = b.bytes;
  changed.replace(newest_meta(changed), page, page, '\0');
  b.begin_with(changed);
  const auto problems = b.problems();
  INFO(problems);
  CHECK(problems.find("the last commit may be missing, or one that never happened be believed") != std::string::npos);
}
