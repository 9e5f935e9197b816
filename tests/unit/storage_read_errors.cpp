// Reads that fail while a file is looked at: the disk's bus is reset, a mount is gone.

#include "common/storage/raw_file.hpp"
#include "store_stocked.hpp"

#include <cerrno>
#include <functional>

using namespace store_test;

namespace {

/// Reads, but for the n-th that begins, once.
struct failing_disk {
  int reads = 0;
  int bad = 0;
  int cause = EIO;

  storage::raw_file::reader reader() {
    return [this](int fd, void* to, std::size_t bytes, off_t offset) -> ssize_t {
      if (++reads != bad)
        return ::pread(fd, to, bytes, offset);
      errno = cause;
      return -1;
    };
  }
};

/// Each read that fails takes 5 s.
struct slow_disk {
  std::function<bool(std::size_t bytes, std::size_t offset)> bad;
  int seconds = 0;

  storage::raw_file::reader reader() {
    return [this](int fd, void* to, std::size_t bytes, off_t offset) -> ssize_t {
      if (!bad(bytes, static_cast<std::size_t>(offset)))
        return ::pread(fd, to, bytes, offset);
      seconds += 5;
      errno = EIO;
      return -1;
    };
  }
};

constexpr std::size_t metas_end = 2 * 4096;

constexpr auto never = [] { return false; };

} // namespace

TEST_CASE("no read that fails makes a sound file a damaged one", "[storage]") {
  const stocked b;
  failing_disk disk;
  storage::raw_file whole(b.data(), disk.reader());
  REQUIRE(whole.sound(never));
  CHECK(whole.read_error() == 0);
  const int all = disk.reads;
  REQUIRE(all > 10);
  for (const int cause : {EIO, ESTALE})
    for (int bad = 1; bad <= all; ++bad) {
      disk = {.bad = bad, .cause = cause};
      storage::raw_file f(b.data(), disk.reader());
      INFO("read " << bad << " of " << all);
      CHECK(f.sound(never));
      CHECK(f.read_error() == cause);
    }
  disk = {.bad = all / 2, .cause = EINTR};
  storage::raw_file f(b.data(), disk.reader());
  CHECK(f.sound(never));
  CHECK(f.read_error() == 0);
}

TEST_CASE("where each read that fails takes seconds, the first one beyond the time is the last", "[storage]") {
  const stocked b;
  const auto list = list_of_tables(b.sound);
  slow_disk disk{[&](std::size_t, std::size_t offset) { return offset >= metas_end && offset != list; }};
  const auto over = [&] { return disk.seconds > 2; };
  const auto nothing = [](auto, auto) {};
  SECTION("looking at a file") {
    CHECK(storage::raw_file(b.data(), disk.reader()).sound(over));
  }
  SECTION("looking for strays") {
    storage::raw_file(b.data(), disk.reader()).strays(nothing, true, over);
  }
  SECTION("looking for strays with long values") {
    disk.bad = [](std::size_t bytes, std::size_t offset) { return offset >= metas_end && bytes != 4096; };
    storage::raw_file(b.data(), disk.reader()).strays(nothing, true, over);
  }
  SECTION("walking through a table") {
    bool fails = false;
    disk.bad = [&](std::size_t, std::size_t) { return fails; };
    storage::raw_file f(b.data(), disk.reader());
    const auto tables = f.tables([](auto&) { return 1; }, over);
    fails = true;
    CHECK_FALSE(f.walk(tables.at("class/telemetry"), nothing, over));
    CHECK_FALSE(f.walk(tables.at("classes"), nothing, over));
  }
  SECTION("walking through long values") {
    disk.bad = [](std::size_t bytes, std::size_t) { return bytes == 16; };
    storage::raw_file f(b.data(), disk.reader());
    CHECK_FALSE(f.walk(f.tables([](auto&) { return 1; }, over).at("class/telemetry"), nothing, over));
  }
  SECTION("looking for a list of tables") {
    auto bytes = b.sound;
    test::write_file(b.data(), bytes.replace(0, metas_end, metas_end, '\0'));
    storage::raw_file(b.data(), disk.reader()).tables([](auto&) { return 1; }, over);
  }
  SECTION("reading the list of tables") {
    disk.bad = [&](std::size_t, std::size_t offset) { return offset >= metas_end; };
    CHECK(storage::raw_file(b.data(), disk.reader()).sound(over));
  }
  CHECK(disk.seconds == 5);
}

TEST_CASE("a file that ends too early is no read that failed", "[storage]") {
  const stocked b;
  const auto root = telemetry_root(b.sound);
  test::write_file(b.data(), b.sound.substr(0, root + 100));
  storage::raw_file f(b.data());
  CHECK_FALSE(f.sound(never));
  CHECK(f.read_error() == 0);
}
