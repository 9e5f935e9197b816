// Files in which a page is an older one, as a write leaves it that the disk has lost, or in which a meta page lies.

#include "common/storage/data_file.hpp"
#include "store_stocked.hpp"

using namespace store_test;

namespace {

constexpr std::size_t page = 4096;

struct meta {
  std::uint64_t transaction, main_root;
};

meta newest(const std::string& bytes) {
  const auto one = [&](std::size_t n) {
    return meta{at<std::uint64_t>(bytes, n * page + 144), at<std::uint64_t>(bytes, n * page + 128)};
  };
  return one(0).transaction > one(1).transaction ? one(0) : one(1);
}

} // namespace

TEST_CASE("a meta page with a changed transaction number rolls nothing back unsaid", "[store]") {
  stocked b;
  { append(*b.open(), payload(601, 3, 100), 3); }
  const auto sound = test::read_file(b.data());
  REQUIRE(storage::damage_of(b.settings.directory).empty());
  const std::size_t older = newest(sound).transaction % 2 == 0 ? page : 0;
  for (std::size_t bit = 0; bit < 64; ++bit) {
    auto bytes = sound;
    auto& byte = bytes[older + 144 + bit / 8];
    byte = static_cast<char>(byte ^ 1 << bit % 8);
    std::filesystem::remove_all(b.settings.directory);
    std::filesystem::create_directories(b.settings.directory);
    test::write_file(b.data(), bytes);
    auto f = b.open();
    INFO("bit " << bit << ": " << f->salvaged());
    CHECK_FALSE(f->set_aside().empty());
    CHECK(f->read_from("telemetry", 601)->payload.view() == payload(601, 3, 100));
    CHECK(f->salvaged().find("lost") == std::string::npos);
  }
}

TEST_CASE("an older list of tables in the place of the newest is noticed, and what it lacks is found", "[store]") {
  bench b;
  std::vector<std::string> files;
  {
    auto f = b.open();
    for (std::uint64_t n = 0; n < 60; ++n) {
      append(*f, payload(n * 3 + 1, 3, n % 5 == 0 ? 2000 : 100), 3);
      files.push_back(test::read_file(b.data()));
    }
  }
  const auto sound = test::read_file(b.data());
  const auto root = newest(sound).main_root * page;
  int stale = 0;
  for (auto older = files.rbegin(); older != files.rend(); ++older) {
    const auto was_root = older->size() >= root + page && newest(*older).main_root * page == root;
    if (!was_root || older->compare(root, page, sound, root, page) == 0)
      continue;
    auto bytes = sound;
    bytes.replace(root, page, *older, root, page);
    std::filesystem::remove_all(b.settings.directory);
    std::filesystem::create_directories(b.settings.directory);
    test::write_file(b.data(), bytes);
    std::string problems;
    for (auto& p : salvage({.file = b.data()}).problems)
      problems += p + "; ";
    auto f = b.open();
    INFO(problems << f->salvaged());
    CHECK_FALSE(f->set_aside().empty());
    std::uint64_t held = 0;
    for (std::uint64_t n = 0; n < 60; ++n)
      if (const auto found = f->read_from("telemetry", n * 3 + 1))
        held += found->payload.view() == payload(n * 3 + 1, 3, n % 5 == 0 ? 2000 : 100) ? 1 : 0;
    CHECK(held == 60);
    ++stale;
  }
  CHECK(stale > 3);
}
