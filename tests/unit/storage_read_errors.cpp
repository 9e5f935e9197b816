// Reads that fail while a file is looked at: the disk's bus is reset, a mount is gone.

#include "common/storage/raw_file.hpp"
#include "store_stocked.hpp"

#include <cerrno>

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

TEST_CASE("a file that ends too early is no read that failed", "[storage]") {
  const stocked b;
  const auto root = telemetry_root(b.sound);
  test::write_file(b.data(), b.sound.substr(0, root + 100));
  storage::raw_file f(b.data());
  CHECK_FALSE(f.sound(never));
  CHECK(f.read_error() == 0);
}
