#include "services/store/delivery_state.hpp"
#include "services/store/live_cache.hpp"
#include "services/store/producer_table.hpp"
#include "storage_support.hpp"

using namespace holdfast;
using namespace holdfast::store;

using verdict = producer_table::verdict;
using ranges = std::vector<seq_range>;

// -- producers --------------------------------------------------------------------------------------------------------

TEST_CASE("a producer says hello before it offers", "[store]") {
  producer_table t;
  CHECK(t.offer("p", 1, 1) == verdict::unknown_session);
  CHECK(t.find("p") == nullptr);
  const auto& row = t.hello("p", 1, "telemetry", "peer");
  CHECK(row.committed == 0);
  CHECK(row.peer == "peer");
  CHECK(t.offer("p", 0, 1) == verdict::unknown_session);
  CHECK(t.offer("p", 1, 1) == verdict::accept);
}

TEST_CASE("a producer's batches are taken in order and once", "[store]") {
  producer_table t;
  t.hello("p", 1, "telemetry", "peer");
  CHECK(t.offer("p", 1, 2) == verdict::out_of_order);
  CHECK(t.offer("p", 1, 1) == verdict::accept);
  CHECK(t.offer("p", 1, 1) == verdict::duplicate);
  CHECK(t.offer("p", 1, 2) == verdict::accept);
  t.committed("p", 2, "two");
  CHECK(t.offer("p", 1, 2) == verdict::duplicate);
  CHECK(t.find("p")->committed == 2);
  CHECK(t.find("p")->position == "two");
}

TEST_CASE("a new session takes over and starts from what is on disk", "[store]") {
  producer_table t;
  t.hello("p", 1, "telemetry", "old");
  t.offer("p", 1, 1);
  t.committed("p", 1, "one");
  t.offer("p", 1, 2);
  CHECK(t.hello("p", 2, "critical", "new").committed == 1);
  CHECK(t.offer("p", 1, 3) == verdict::unknown_session);
  CHECK(t.offer("p", 2, 2) == verdict::accept);
  CHECK(t.find("p")->record_class == "critical");
  CHECK(t.find("p")->peer == "new");
}

TEST_CASE("what was taken and not committed can be offered again after a roll back", "[store]") {
  producer_table t;
  t.hello("p", 1, "telemetry", "peer");
  t.offer("p", 1, 1);
  t.committed("p", 1, "one");
  t.offer("p", 1, 2);
  t.offer("p", 1, 3);
  t.roll_back();
  CHECK(t.offer("p", 1, 3) == verdict::out_of_order);
  CHECK(t.offer("p", 1, 2) == verdict::accept);
}

TEST_CASE("a row of the file is known and waits for its session", "[store]") {
  producer_table t;
  t.load("p", {.record_class = "bulk", .committed = 9, .position = "nine"});
  CHECK(t.rows().size() == 1);
  CHECK(t.offer("p", 0, 10) == verdict::unknown_session);
  const auto& row = t.hello("p", 4, "bulk", "peer");
  CHECK(row.committed == 9);
  CHECK(row.position == "nine");
  CHECK(t.offer("p", 4, 10) == verdict::accept);
}

// -- delivery ---------------------------------------------------------------------------------------------------------

TEST_CASE("a record is settled when every destination that wants it has it", "[store]") {
  delivery_state d;
  d.want("a", "telemetry");
  d.want("b", "telemetry");
  d.want("a", "critical");
  CHECK(d.settled("telemetry").empty());
  CHECK(d.settled("unknown").empty());
  CHECK(d.mark("a", "telemetry", {1, 10}).empty());
  CHECK(d.mark("b", "telemetry", {5, 20}) == ranges{{5, 10}});
  CHECK(d.mark("b", "telemetry", {5, 20}).empty());
  CHECK(d.mark("a", "telemetry", {8, 30}) == ranges{{11, 20}});
  CHECK(d.settled("telemetry") == ranges{{5, 20}});
  CHECK(d.mark("a", "critical", {1, 1}) == ranges{{1, 1}});
  CHECK(d.delivered("b", "telemetry") == ranges{{5, 20}});
  CHECK(d.delivered("b", "critical").empty());
}

TEST_CASE("what nobody wants is not recorded and frees nothing", "[store]") {
  delivery_state d;
  d.want("a", "telemetry");
  CHECK_FALSE(d.wanted("b", "telemetry"));
  CHECK_FALSE(d.wanted("a", "bulk"));
  CHECK(d.mark("b", "telemetry", {1, 5}).empty());
  d.load("b", "telemetry", {{1, 5}});
  d.load("a", "bulk", {{1, 5}});
  CHECK(d.missing("b", "telemetry", 5).empty());
  CHECK(d.missing("a", "telemetry", 5) == ranges{{1, 5}});
}

TEST_CASE("a destination lacks what it did not confirm", "[store]") {
  delivery_state d;
  d.want("a", "telemetry");
  CHECK(d.missing("a", "telemetry", 0).empty());
  d.load("a", "telemetry", {{1, 3}, {7, 8}});
  CHECK(d.missing("a", "telemetry", 10) == ranges{{4, 6}, {9, 10}});
  CHECK(d.missing("a", "telemetry", 3).empty());
  CHECK(d.mark("a", "telemetry", {2, 7}) == ranges{{4, 6}});
  CHECK(d.missing("a", "telemetry", 10) == ranges{{9, 10}});
}

// -- live cache -------------------------------------------------------------------------------------------------------

namespace {

batch of(std::uint64_t first, std::size_t bytes, const std::string& record_class = "telemetry") {
  return {.record_class = record_class, .seqs = {first, first}, .payload = blob(std::string(bytes, 'x'))};
}

} // namespace

constexpr auto beside = live_cache::overhead;

TEST_CASE("the live cache forgets the oldest batches first", "[store]") {
  live_cache c(3 * (beside + 30) + 10);
  for (std::uint64_t n = 1; n <= 5; ++n)
    c.put(of(n, 30));
  CHECK_FALSE(c.find("telemetry", 1));
  CHECK_FALSE(c.find("telemetry", 2));
  CHECK(c.find("telemetry", 3));
  REQUIRE(c.find("telemetry", 5));
  CHECK(c.find("telemetry", 5)->payload.size() == 30);
  CHECK_FALSE(c.find("critical", 5));
}

TEST_CASE("the live cache forgets what all destinations have, at any place", "[store]") {
  live_cache c(1 << 20);
  for (std::uint64_t n = 1; n <= 4; ++n) {
    c.put(of(n, 30));
    c.put(of(n, 50, "critical"));
  }
  c.forget_below("telemetry", 3);
  CHECK_FALSE(c.find("telemetry", 1));
  CHECK_FALSE(c.find("telemetry", 2));
  CHECK(c.find("telemetry", 3));
  CHECK(c.find("critical", 1));
  CHECK(c.bytes() == 2 * (beside + 30) + 4 * (beside + 50));
  c.forget("critical", 4);
  c.forget_below("critical", 100);
  c.forget_below("telemetry", 100);
  CHECK(c.bytes() == 0);
  c.put(of(1, 30));
  CHECK(c.find("telemetry", 1));
}

TEST_CASE("a batch of several records is kept until its last one is confirmed", "[store]") {
  live_cache c(1 << 20);
  c.put({.record_class = "telemetry", .seqs = {5, 9}, .payload = blob(std::string(10, 'x'))});
  c.forget_below("telemetry", 9);
  CHECK(c.find("telemetry", 5));
  c.forget_below("telemetry", 10);
  CHECK_FALSE(c.find("telemetry", 5));
}

TEST_CASE("a batch above the live cache's limit is not kept", "[store]") {
  live_cache c(beside + 100);
  c.put(of(1, 20));
  c.put(of(2, 101));
  CHECK_FALSE(c.find("telemetry", 2));
  c.put(of(3, 20, "critical"));
  CHECK(c.find("critical", 3));
}

TEST_CASE("a small batch leaves the buffer it came in, a large one stays there", "[store]") {
  live_cache c(1 << 20);
  const auto small = of(1, 300), large = of(2, 10'000);
  c.put(small);
  c.put(large);
  CHECK(c.find("telemetry", 1)->payload.view() == small.payload.view());
  CHECK(c.find("telemetry", 1)->payload.owner() != small.payload.owner());
  CHECK(c.find("telemetry", 2)->payload.owner() == large.payload.owner());
}

TEST_CASE("a batch put twice is in the live cache once", "[store]") {
  live_cache c(2 * (beside + 40) + 20);
  c.put(of(1, 40));
  c.put(of(1, 40));
  c.put(of(2, 40));
  CHECK(c.find("telemetry", 1));
  CHECK(c.find("telemetry", 2));
  c.put(of(3, beside + 90));
  CHECK_FALSE(c.find("telemetry", 1));
  CHECK_FALSE(c.find("telemetry", 2));
  CHECK(c.find("telemetry", 3));
}
