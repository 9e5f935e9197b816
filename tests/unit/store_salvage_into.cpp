// The store that a salvage makes, and what it leaves where it cannot.

#include "small_disk.hpp"
#include "store_stocked.hpp"

#include <sstream>

using namespace store_test;

namespace {

std::uint64_t committed(batch_file& f) {
  producer_table producers;
  delivery_state delivery;
  f.load(producers, delivery);
  const auto* row = producers.find("p");
  return row == nullptr ? 0 : row->committed;
}

} // namespace

TEST_CASE("a salvaged store of small batches is no larger than it was", "[store]") {
  bench b;
  const auto two_a_page = payload(1, 1, 1900);
  {
    auto f = b.open();
    batch_file::update u(*f);
    for (int n = 0; n < 1000; ++n)
      u.append("telemetry", 1, crc32c(two_a_page), two_a_page);
    u.commit();
  }
  std::ostringstream out;
  const auto into = b.dir.path("salvaged");
  CHECK(salvage(b.settings.directory, into, out) == 0);
  CHECK(std::filesystem::file_size(into + "/data.mdb") < std::filesystem::file_size(b.data()) * 5 / 4);
}

TEST_CASE("a salvage that fails leaves no store behind, and takes none away", "[store]") {
  stocked b;
  b.meddle([](storage::environment& env) { env.open_table("origins"); });
  std::ostringstream out;
  const auto into = b.dir.path("salvaged");
  CHECK(salvage(b.settings.directory, into, out) == 2);
  CHECK(out.str().find("it is a collector's archive") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(into + "/data.mdb"));
  CHECK(salvage(b.settings.directory, b.settings.directory, out) == 2);
  CHECK(std::filesystem::exists(b.data()));
}

TEST_CASE("what an older list of tables does not lead to comes back with what its producer sent", "[store]") {
  constexpr std::uint64_t commits = 60;
  constexpr std::size_t page = 4096;
  bench b;
  std::vector<std::string> files;
  {
    auto f = b.open();
    for (std::uint64_t n = 1; n <= commits; ++n) {
      const auto text = payload(n, 1, 100);
      batch_file::update u(*f);
      u.append("telemetry", 1, crc32c(text), text);
      u.producer("p", "telemetry", n, "here");
      u.commit();
      files.push_back(test::read_file(b.data()));
    }
  }
  const auto& sound = files.back();
  const auto list = list_of_tables(sound);
  int stale = 0;
  for (auto& older : files) {
    if (list_of_tables(older) != list || older.compare(list, page, sound, list, page) == 0)
      continue;
    auto bytes = sound;
    bytes.replace(list, page, older, list, page);
    std::filesystem::remove_all(b.settings.directory);
    std::filesystem::create_directories(b.settings.directory);
    test::write_file(b.data(), bytes);
    const auto f = b.open();
    INFO(f->salvaged());
    CHECK_FALSE(f->set_aside().empty());
    CHECK(f->head("telemetry") == commits);
    CHECK(f->read_from("telemetry", commits)->payload.view() == payload(commits, 1, 100));
    CHECK(committed(*f) == commits);
    ++stale;
  }
  CHECK(stale > 3);
}

TEST_CASE("a salvage that is not finished leaves a store that knows its producers, and no number", "[store]") {
  stocked b;
  const auto old = b.open()->epoch();
  bench other;
  other.settings.directory = b.dir.path("salvaged");
  const auto taken = take_over({.file = b.data(), .into = other.settings.directory, .stop = [] { return true; }});
  CHECK(taken.kept);
  CHECK(taken.text.find("; 1 producers go on where they were; see holdfastctl store salvage") != std::string::npos);
  const auto f = other.open();
  CHECK(f->set_aside().empty());
  CHECK(f->epoch() != old);
  CHECK(f->head("telemetry") == 0);
  CHECK(f->used().total == 0);
  CHECK(committed(*f) == 200);
}

TEST_CASE("a salvage without room leaves a store that knows its producers", "[store]") {
  test::small_disk disk(12 << 20);
  if (!disk.mounted())
    return;
  bench b;
  b.settings = {.directory = disk.path("store"), .quota = config::mib(64)};
  const std::string large(50'000, 'x');
  {
    auto f = b.open();
    batch_file::update u(*f);
    for (int n = 0; n < 100; ++n)
      u.append("telemetry", 1, crc32c(large), large);
    u.producer("p", "telemetry", 100, "here");
    u.commit();
    f->condemn(storage::error(-30796, "page 7 has the wrong type"));  // MDB_CORRUPTED
  }
  disk.fill_but(1 << 20);
  const auto f = b.open();
  REQUIRE_FALSE(f->set_aside().empty());
  CHECK(f->head("telemetry") == 0);
  CHECK(committed(*f) == 100);
}
