// For whom a salvage brings records back: for all that want them, as configured, also where they confirmed nothing yet.

#include "store_stocked.hpp"

using namespace store_test;

namespace {

const std::vector<seq_range> backlog{{151, 600}};

/// The pages of the class below its root can be read, but nothing leads to them.
void cut_off(const stocked& b) {
  auto bytes = test::read_file(b.data());
  bytes.replace(telemetry_root(bytes), 4096, 4096, '\0');
  test::write_file(b.data(), bytes);
}

void confirm(stocked& b, const std::string& destination, seq_range r) {
  auto f = b.open();
  batch_file::update u(*f);
  u.delivered(destination, "telemetry", {r});
  u.commit();
}

} // namespace

TEST_CASE("what a destination that never confirmed anything waits for is salvaged", "[store]") {
  stocked b;
  confirm(b, "centre", {1, 600});
  cut_off(b);
  const auto lane = salvage({.file = b.data(), .wanted = {{"telemetry", {"centre", "broker"}}}}).classes["telemetry"];
  CHECK(lane.held == backlog);
  CHECK(lane.lost == std::vector<seq_range>{{1, 150}});
  CHECK(salvage({.file = b.data(), .wanted = {{"telemetry", {"centre"}}}}).classes["telemetry"].held.empty());
}

TEST_CASE("without a configuration what all have confirmed that ever did is salvaged too", "[store]") {
  stocked b;
  confirm(b, "centre", {1, 600});
  cut_off(b);
  CHECK(salvage({.file = b.data()}).classes["telemetry"].held == backlog);
  CHECK(salvage({.file = b.data(), .wanted = {{"critical", {"centre"}}}}).classes["telemetry"].held == backlog);
}

TEST_CASE("a destination that is no longer configured has lost nothing", "[store]") {
  stocked b;
  confirm(b, "north", {1, 100});
  cut_off(b);
  const std::vector<config::destination> wanting{{"critical-only", {"critical"}}, {"centre", {}}};
  const batch_file f(b.settings, "plant", classes, wanting);
  REQUIRE_FALSE(f.set_aside().empty());
  CHECK(f.salvaged().find("450 records held in 150 batches (seq 151-600)") != std::string::npos);
  CHECK(f.salvaged().find("lost") == std::string::npos);
}
