#include "holdfast/v1/record.pb.h"
#include "services/acquisition/recorder.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace holdfast;
using namespace holdfast::acquisition;

namespace {

constexpr timestamp at(std::int64_t nanos) { return {1'000'000'000'000 + nanos, nanos}; }

config::source settings() { return {.name = "press", .stream = "press/raw", .batch = {.records = 4}}; }

/// The batch's records as "stream value", gaps as "stream +count reason".
std::string taken(recorder& r) {
  v1::Batch b;
  REQUIRE(b.ParseFromString(r.take().payload));
  std::string out;
  for (auto& one : b.records()) {
    out += b.streams(static_cast<int>(one.stream())) + " ";
    if (one.has_gap())
      out += fmt::format("+{} {}; ", one.gap().count(), static_cast<int>(one.gap().reason()));
    else
      out += one.has_data() ? one.data() + "; " : fmt::format("{}; ", one.number());
  }
  return out;
}

} // namespace

TEST_CASE("frames and values become records and are counted", "[acquisition]") {
  recorder r(settings(), "boot");
  CHECK(r.empty());
  r.frame(at(0), "abc", true);
  r.value({"press/temperature", at(1), 21.5}, true);
  CHECK(r.records() == 2);
  CHECK(r.figures().records == 2);
  CHECK(r.figures().bytes == 3);
  CHECK_FALSE(r.owes_gaps());
  CHECK(taken(r) == "press/raw abc; press/temperature 21.5; ");
  CHECK(r.empty());
}

TEST_CASE("what found no room is told once, before the next record", "[acquisition]") {
  recorder r(settings(), "boot");
  r.frame(at(0), "a", false);
  r.frame(at(1), "b", false);
  r.value({"press/temperature", at(2), 1.0}, false);
  CHECK(r.empty());
  CHECK(r.owes_gaps());
  CHECK(r.figures().dropped == 3);
  r.frame(at(3), "c", true);
  CHECK_FALSE(r.owes_gaps());
  r.value({"press/temperature", at(4), 2.0}, true);
  CHECK(taken(r) == "press/raw +2 1; press/temperature +1 1; press/raw c; press/temperature 2; ");
}

TEST_CASE("gaps are told where no further record comes", "[acquisition]") {
  recorder r(settings(), "boot");
  r.tell_gaps(at(0));
  CHECK(r.empty());
  r.lost(7);
  r.frame(at(1), "a", false);
  CHECK(r.owes_gaps());
  r.tell_gaps(at(2));
  CHECK(taken(r) == "press/raw +8 1; ");
}

TEST_CASE("an oversized frame stands as a gap of one", "[acquisition]") {
  recorder r(settings(), "boot");
  r.frame(at(0), "a", false);
  r.oversize(at(1), true);
  CHECK(r.figures().oversize == 1);
  CHECK(taken(r) == "press/raw +1 1; press/raw +1 2; ");
}

TEST_CASE("oversized frames that find no room are told in one gap, with their reason", "[acquisition]") {
  recorder r(settings(), "boot");
  for (int n = 0; n < 1000; ++n)
    r.oversize(at(n), false);
  r.frame(at(1000), "a", false);
  CHECK(r.empty());
  CHECK(r.owes_gaps());
  CHECK(r.figures().oversize == 1000);
  CHECK(r.figures().dropped == 1);
  r.oversize(at(1001), true);
  CHECK_FALSE(r.owes_gaps());
  CHECK(taken(r) == "press/raw +1 1; press/raw +1001 2; ");
}

TEST_CASE("a batch is full at its records or its bytes, and ends where the clock changes", "[acquisition]") {
  auto s = settings();
  recorder by_records(s, "boot");
  for (int n = 0; n < 3; ++n)
    by_records.frame(at(n), "x", true);
  CHECK_FALSE(by_records.full());
  by_records.frame(at(3), "x", true);
  CHECK(by_records.full());
  s.batch.size = {100};
  recorder by_bytes(s, "boot");
  by_bytes.frame(at(0), std::string(100, 'x'), true);
  CHECK(by_bytes.full());
  by_bytes.take();
  CHECK_FALSE(by_bytes.full());
  recorder r(s, "boot");
  CHECK_FALSE(r.needs_new_batch(at(0)));
  r.frame(at(0), "x", true);
  CHECK_FALSE(r.needs_new_batch(at(1)));
  CHECK(r.needs_new_batch({at(1).unix_nanos + 5'000'000, at(1).monotonic_nanos}));
  r.set_synchronised(true);
  CHECK(r.needs_new_batch(at(1)));
}
