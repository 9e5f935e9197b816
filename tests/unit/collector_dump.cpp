#include "archive_bench.hpp"
#include "services/collector/hole_watch.hpp"

#include <algorithm>

using namespace holdfast;
using namespace holdfast::collector;
using namespace std::chrono_literals;
using bench = test::archive_bench;
using test::caught_errors;
using test::into;
using test::other;
using test::plant;

// -- dump -------------------------------------------------------------------------------------------------------------

TEST_CASE("dump prints in seq order with holes, or in order of arrival", "[collector]") {
  bench b;
  b.arrives(plant, {5, 6});
  b.arrives(other, {1, 1});
  b.arrives(plant, {1, 2}, true);
  b.arrives(plant, {9, 9});
  b.commit();
  CHECK(b.dumped() == "p1 p2 p5 p6 p9 w1 ");
  CHECK(b.dumped({.arrival_order = true}) == "p5 p6 w1 p1 p2 p9 ");
  CHECK(b.dumped({.gateway = "works"}) == "w1 ");
  CHECK(b.dumped({.arrival_order = true, .gateway = "works"}) == "w1 ");
  CHECK(b.dumped({.gateway = "nobody"}).empty());
}

TEST_CASE("dump takes a read transaction anew after many batches", "[collector]") {
  bench b;
  std::string expected;
  for (std::uint64_t n = 1; n <= 600; ++n) {
    b.arrives(plant, {n, n});
    expected += "p" + std::to_string(n) + " ";
  }
  b.commit();
  CHECK(b.dumped() == expected);
  CHECK(b.dumped({.arrival_order = true}) == expected);
}

TEST_CASE("dump prints one stream only, and gaps", "[collector]") {
  bench b;
  b.arrives(plant, {1, 2});
  b.arrives(plant, {3, 4}, false, "oven");
  REQUIRE(b.present.take(plant, {5, 9}) == inbox::verdict::fresh);
  b.arrivals.push_back({plant, {5, 9}, 0, v1::GAP_REASON_DAMAGED, false, {}});
  b.commit();
  CHECK(b.dumped() == "p1 p2 p3 p4 p5+5 ");
  CHECK(b.dumped({.stream = "oven"}) == "p3 p4 p5+5 ");
}

TEST_CASE("dump sums up each origin", "[collector]") {
  bench b;
  b.arrives(plant, {1, 5});
  b.arrives(plant, {9, 9});
  b.commit();
  std::ostringstream out;
  CHECK(dump({.directory = b.settings.directory, .stats_only = true}, into(out)) == 0);
  CHECK(out.str()
        == R"({"gateway":"plant","epoch":"0000000000000007","class":"telemetry","records":6,"ranges":2})""\n");
}

TEST_CASE("following in seq order waits at a hole", "[collector]") {
  bench b;
  b.arrives(plant, {1, 2});
  b.arrives(plant, {5, 6});
  b.commit();
  int asked = 0;
  CHECK(b.dumped({.follow = true, .stop = [&] { return ++asked > 4; }}) == "p1 p2 ");
  b.arrives(plant, {3, 4}, true);
  b.commit();
  asked = 0;
  CHECK(b.dumped({.follow = true, .stop = [&] { return ++asked > 6; }}) == "p1 p2 p3 p4 p5 p6 ");
  asked = 0;
  CHECK(b.dumped({.follow = true, .arrival_order = true, .stop = [&] { return ++asked > 2; }}) == "p1 p2 ");
}

TEST_CASE("the hole of an old epoch holds up neither the new one nor other classes", "[collector]") {
  bench b;
  b.arrives(plant, {1, 2});
  b.arrives(plant, {5, 6});
  b.arrives({"plant", 8, "telemetry"}, {1, 1});
  b.arrives({"plant", 7, "critical"}, {1, 3});
  b.commit();
  int asked = 0;
  CHECK(b.dumped({.follow = true, .stop = [&] { return ++asked > 9; }}) == "p1 p2 p1 p1 p2 p3 ");
}

TEST_CASE("a hole that stays open is told once, and once more when it is gone", "[collector]") {
  using news = hole_watch::news;
  hole_watch w;
  const hole_watch::time_point t{};
  CHECK(w.look(1, 3, t) == news::none);
  CHECK(w.look(2, std::nullopt, t) == news::none);
  CHECK(w.look(1, 3, t + 4999ms) == news::none);
  CHECK(w.look(1, 3, t + 5s) == news::waits);
  CHECK(w.look(1, 3, t + 1h) == news::none);
  CHECK(w.look(2, 3, t + 1h) == news::none);  // each origin has its own
  CHECK(w.look(1, std::nullopt, t + 2h) == news::goes_on);
  CHECK(w.look(1, std::nullopt, t + 3h) == news::none);
}

TEST_CASE("a hole that closes in time is no news; the next one has a time of its own", "[collector]") {
  using news = hole_watch::news;
  hole_watch w;
  const hole_watch::time_point t{};
  CHECK(w.look(1, 3, t) == news::none);
  CHECK(w.look(1, 9, t + 4s) == news::none);
  CHECK(w.look(1, 9, t + 8s) == news::none);
  CHECK(w.look(1, 9, t + 9s) == news::waits);
  CHECK(w.look(1, 20, t + 10s) == news::goes_on);
  CHECK(w.look(1, 20, t + 15s) == news::waits);
}

TEST_CASE("dump goes on after a damaged batch and says so", "[collector]") {
  bench b;
  b.arrives(plant, {1, 2});
  b.arrives(plant, {3, 4});
  b.arrives(plant, {5, 6});
  b.commit();
  SECTION("payload") { b.damage(2, storage::stored_batch::header_bytes + 3); }
  SECTION("header") { b.damage(2, 1); }
  caught_errors errors;
  CHECK(b.dumped({}, 1) == "p1 p2 p5 p6 ");
  CHECK(b.dumped({.arrival_order = true}, 1) == "p1 p2 p5 p6 ");
  const auto said = R"(damaged batch: gateway "plant" class "telemetry" epoch 0000000000000007 seq 3: )";
  CHECK(errors.text.str().find(said) == 0);
  int asked = 0;
  CHECK(b.dumped({.follow = true, .stop = [&] { return ++asked > 9; }}, 1) == "p1 p2 p5 p6 ");
}

TEST_CASE("a batch that lies about its records is named and takes no other's numbers", "[collector]") {
  bench b;
  b.arrives(plant, {1, 5});
  b.arrivals.back().seqs.last = 2;  // five records, announced as two
  b.arrives(plant, {6, 6});
  b.arrivals.back().seqs = {3, 9};  // one, announced as seven
  b.arrives(plant, {10, 10});
  b.commit();
  caught_errors errors;
  std::ostringstream out;
  CHECK(dump({.directory = b.settings.directory}, into(out)) == 1);
  std::istringstream lines(out.str());
  std::vector<int> seqs;
  for (std::string line; std::getline(lines, line);)
    seqs.push_back(nlohmann::json::parse(line)["seq"]);
  CHECK(seqs == std::vector<int>{1, 2, 3, 10});
  CHECK(errors.text.str().find(" seq 1: announces 2 records, has 5\n") != std::string::npos);
  CHECK(errors.text.str().find(" seq 3: announces 7 records, has 1\n") != std::string::npos);
}

TEST_CASE("names from outside cannot forge lines of the sums", "[collector]") {
  bench b;
  b.arrives({"x\",\"records\":0,\"evil\":\"\n", 1, "c\"q\n"}, {1, 1});
  b.commit();
  std::ostringstream out;
  CHECK(dump({.directory = b.settings.directory, .stats_only = true}, into(out)) == 0);
  const auto text = out.str();
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(nlohmann::json::parse(text)["records"] == 1);
}

TEST_CASE("dump of what is no archive fails with a reason", "[collector]") {
  test::temporary_directory dir;
  caught_errors errors;
  std::ostringstream out;
  CHECK(dump({.directory = dir.path("nowhere")}, into(out)) == 2);
  {
    storage::environment env(dir.path(), 1 << 20, storage::environment::mode::read_write);
    env.open_table("origins");
  }
  CHECK(dump({.directory = dir.path()}, into(out)) == 2);
  CHECK(errors.text.str().find("not a collector's directory") != std::string::npos);
  bench b;
  b.arrives(plant, {1, 2});
  b.commit();
  out.setstate(std::ios::badbit);
  CHECK(dump({.directory = b.settings.directory, .follow = true}, into(out)) == 0);  // nobody reads any more
}
