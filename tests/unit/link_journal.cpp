#include "common/link/switch_journal.hpp"

#include <catch2/catch.hpp>

using namespace holdfast::link;
using namespace std::chrono_literals;

namespace {

const auto start = time_point{} + 1h;

switch_entry entry(const std::string& from, const std::string& to, const std::string& record_class = "telemetry") {
  return {.unix_nanos = 1, .record_class = record_class, .from = from, .to = to, .cause = "chance"};
}

} // namespace

TEST_CASE("the journal keeps the last switches, and the oldest falls out", "[link]") {
  switch_journal j(3);
  for (int i = 0; i < 5; ++i)
    j.add({.unix_nanos = i, .record_class = "telemetry", .from = "a", .to = "b"}, start);
  REQUIRE(j.entries().size() == 3);
  CHECK(j.entries().front().unix_nanos == 2);
  CHECK(j.count() == 5);
  const switch_journal after_restart(2, j.entries());
  CHECK(after_restart.entries().size() == 2);
  CHECK(after_restart.entries().back() == j.entries().back());
}

TEST_CASE("the service gap ends with the first acknowledgement over the new link", "[link]") {
  switch_journal j;
  j.add(entry("", "fibre"), start);
  j.delivered("telemetry", "fibre", start + 1s);
  CHECK_FALSE(j.entries().back().gap);
  j.delivered("telemetry", "fibre", start + 2s);
  j.add(entry("fibre", "5g"), start + 2060ms);
  j.delivered("critical", "5g", start + 2070ms);
  CHECK_FALSE(j.entries().back().gap);
  j.delivered("telemetry", "5g", start + 2100ms);
  CHECK(j.entries().back().gap == 100ms);
  j.delivered("telemetry", "5g", start + 3s);
  CHECK(j.entries().back().gap == 100ms);
}

TEST_CASE("a late acknowledgement over the old link does not end the gap of the new one", "[link]") {
  switch_journal j;
  j.add(entry("", "fibre"), start);
  j.delivered("telemetry", "fibre", start + 1s);
  j.add(entry("fibre", "5g"), start + 1050ms);
  j.delivered("telemetry", "fibre", start + 1060ms);
  CHECK_FALSE(j.entries().back().gap);
  j.delivered("telemetry", "5g", start + 1100ms);
  CHECK(j.entries().back().gap == 100ms);
}

TEST_CASE("a second switch before anything arrived prolongs the gap, also when nothing carried for a while", "[link]") {
  switch_journal j;
  j.add(entry("", "fibre"), start);
  j.delivered("telemetry", "fibre", start + 1s);
  j.add(entry("fibre", ""), start + 2s);
  j.add(entry("", "sat"), start + 60s);
  j.delivered("telemetry", "sat", start + 61s);
  CHECK(j.entries().back().gap == 60s);
}

TEST_CASE("a diversion becomes a switch or nothing, in its own line", "[link]") {
  switch_journal j;
  j.add(entry("", "fibre"), start);
  j.delivered("telemetry", "fibre", start + 1s);
  CHECK_FALSE(j.resolve("telemetry", "switched", "silence"));
  auto diverted = entry("fibre", "5g");
  diverted.kind = "diverted";
  j.add(diverted, start + 1200ms);
  CHECK_FALSE(j.resolve("critical", "switched", "silence"));
  SECTION("the link was dead") {
    CHECK(j.delivered("telemetry", "5g", start + 1300ms));
    CHECK(j.resolve("telemetry", "switched", "silence"));
    CHECK(j.entries().back().gap == 300ms);
    CHECK(j.entries().back().cause == "silence");
  }
  SECTION("it was not, and what the other link brings is no gap's end") {
    CHECK(j.resolve("telemetry", "returned", "answered"));
    CHECK_FALSE(j.delivered("telemetry", "5g", start + 1300ms));
    CHECK_FALSE(j.entries().back().gap);
    j.add(entry("fibre", "5g"), start + 9s);
    CHECK(j.delivered("telemetry", "5g", start + 9100ms));
    CHECK(j.entries().back().gap == 7800ms);
  }
  CHECK(j.entries().size() >= 2);
  CHECK_FALSE(j.resolve("telemetry", "switched", "again"));
}
