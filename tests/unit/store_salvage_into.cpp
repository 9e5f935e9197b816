// The store that a salvage makes, and what it leaves where it cannot.

#include "store_stocked.hpp"

#include <sstream>

using namespace store_test;

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
