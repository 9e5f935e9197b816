// What an order of the dispatch plan comes to, and that a turn of it ends.

#include "services/store/dispatch_step.hpp"
#include "store_dispatch_support.hpp"

using namespace dispatch_test;
using store::batch;
using store::dispatch_step;
using store::step_of;
using act = dispatch_step::act;
using kind = dispatch_plan::kind;

namespace {

batch gap_at(seq_range r, std::uint32_t reason) { return {"telemetry", r, 0, reason, {}}; }

/// One turn, as DISPATCHER makes it, with a file that has this; the orders that came, no more than `most`.
orders turn(dispatch_plan& p, const std::optional<batch>& there, std::size_t most = 20) {
  const std::map<act, std::string> names{
    {act::send, "send"}, {act::gap, "gap"}, {act::skip, "skip"}};
  orders out;
  for (auto o = p.next(); o && out.size() < most; o = p.next()) {
    const auto step = step_of(*o, store::needs_batch(*o) ? there : std::nullopt);
    switch (step.what) {
      case act::send:
      case act::gap: p.leased(*o, step.seqs, 100, start); break;
      case act::skip: p.skipped(*o); break;
    }
    out.push_back(o->link + " " + names.at(step.what) + " " + std::to_string(step.seqs.first));
  }
  return out;
}

} // namespace

TEST_CASE("a turn ends when a batch gives way that one link compares and another one is to", "[store]") {
  const batch there{"telemetry", {1, 10}, 7, 0, blob(std::string("ten records"))};
  dispatch_plan p(classes, 0);
  p.opened("telemetry", 10);
  p.add_backlog("telemetry", {1, 10});
  p.route("telemetry", {{"a"}, "", ""});
  p.link_ready("a", 100'000);
  p.reconcile({{"telemetry", {{1, 10}}}}, {});
  REQUIRE(turn(p, there) == orders{"a send 1"});
  p.link_ready("b", 100'000);
  p.route("telemetry", {{"a", "b"}, "", ""});
  SECTION("it gives way") { CHECK(turn(p, gap_at({1, 10}, v1::GAP_REASON_DISPLACED)) == orders{"b skip 0"}); }
  SECTION("it is no more") { CHECK(turn(p, std::nullopt) == orders{"b skip 0"}); }
  SECTION("it became part of a wider gap") {
    CHECK(turn(p, gap_at({1, 20}, v1::GAP_REASON_DISPLACED)) == orders{"b skip 0"});
  }
  SECTION("it stays") { CHECK(turn(p, there) == orders{"b send 1"}); }
  p.acknowledged("a", "telemetry", {1, 10}, start);
  CHECK(p.settled());
  CHECK(p.oldest("telemetry") == std::nullopt);
}

TEST_CASE("what an order comes to is told by what the file has there", "[store]") {
  const batch ten{"telemetry", {11, 20}, 7, 0, blob(std::string("ten records"))};
  const auto of = [](kind how, seq_range todo, bool copy = false) {
    return dispatch_plan::order{"a", "telemetry", todo, how, copy};
  };
  SECTION("a batch goes, and is compared, as it is") {
    for (auto how : {kind::live, kind::backlog, kind::check})
      for (bool copy : {false, true}) {
        const auto s = step_of(of(how, {11, 20}, copy), ten);
        CHECK(s.what == act::send);
        CHECK(s.seqs == seq_range{11, 20});
      }
  }
  SECTION("before the next batch there is a gap, up to it and no further than was asked") {
    auto s = step_of(of(kind::backlog, {5, 30}), ten);
    CHECK(s.what == act::gap);
    CHECK(s.seqs == seq_range{5, 10});
    CHECK(s.reason == v1::GAP_REASON_NOT_HELD);
    s = step_of(of(kind::backlog, {5, 8}), ten);
    CHECK(s.seqs == seq_range{5, 8});
    CHECK(step_of(of(kind::live, {5, 8}), std::nullopt).seqs == seq_range{5, 8});
  }
  SECTION("a stored gap is told with its reason, also to a destination that claims these numbers") {
    const auto gap = gap_at({5, 30}, v1::GAP_REASON_EXPIRED);
    for (auto how : {kind::backlog, kind::check}) {
      const auto s = step_of(of(how, {5, 20}), gap);
      CHECK(s.what == act::gap);
      CHECK(s.seqs == seq_range{5, 20});
      CHECK(s.reason == v1::GAP_REASON_EXPIRED);
      CHECK_FALSE(s.damaged);
      CHECK(step_of(of(how, {5, 20}), std::nullopt).reason == v1::GAP_REASON_NOT_HELD);
    }
  }
  SECTION("what cannot be read is told as a gap, and noted") {
    auto unreadable = gap_at({5, 9}, v1::GAP_REASON_DAMAGED);
    unreadable.unreadable = true;
    const auto s = step_of(of(kind::backlog, {5, 20}), unreadable);
    CHECK(s.what == act::gap);
    CHECK(s.seqs == seq_range{5, 9});
    CHECK(s.damaged);
  }
  SECTION("what the destination lost is told without a look, as far as a count of 32 bits goes") {
    CHECK_FALSE(store::needs_batch(of(kind::gap, {1, 2})));
    const auto s = step_of(of(kind::gap, {3, 10'000'000'000}), std::nullopt);
    CHECK(s.what == act::gap);
    CHECK(s.reason == v1::GAP_REASON_CONFIRMED_BEFORE);
    CHECK(s.seqs.count() == UINT32_MAX);
  }
  SECTION("no copy is made of another extent") {
    CHECK(step_of(of(kind::live, {11, 15}, true), ten).what == act::skip);
    CHECK(step_of(of(kind::live, {5, 20}, true), ten).what == act::skip);
  }
}
