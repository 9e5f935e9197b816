#include "archive_bench.hpp"
#include "holdfast/v1/storage.pb.h"
#include "storage_names.hpp"

#include <algorithm>

using namespace holdfast;
using namespace holdfast::collector;
using bench = test::archive_bench;
using test::other;
using test::plant;

// -- inbox ------------------------------------------------------------------------------------------------------------

TEST_CASE("a batch that came before is a duplicate, one that half came is refused", "[collector]") {
  inbox in;
  CHECK(in.take(plant, {1, 10}) == inbox::verdict::fresh);
  CHECK(in.take(plant, {1, 10}) == inbox::verdict::duplicate);
  CHECK(in.take(plant, {11, 20}) == inbox::verdict::fresh);
  CHECK(in.take(plant, {5, 15}) == inbox::verdict::duplicate);
  CHECK(in.take(plant, {15, 25}) == inbox::verdict::overlap);
  CHECK(in.take(plant, {30, 40}) == inbox::verdict::fresh);
  CHECK(in.ranges(plant) == std::vector<seq_range>{{1, 20}, {30, 40}});
}

TEST_CASE("what could not be committed is given back", "[collector]") {
  inbox in;
  in.take(plant, {1, 10});
  in.take(plant, {11, 20});
  in.give_back(plant, {11, 20});
  CHECK(in.ranges(plant) == std::vector<seq_range>{{1, 10}});
  CHECK(in.take(plant, {11, 20}) == inbox::verdict::fresh);
}

TEST_CASE("gateways, epochs and classes do not meet", "[collector]") {
  inbox in;
  in.load(plant, {{1, 5}, {9, 9}});
  CHECK(in.take({"plant", 8, "telemetry"}, {1, 5}) == inbox::verdict::fresh);
  CHECK(in.take({"plant", 7, "bulk"}, {3, 4}) == inbox::verdict::fresh);
  CHECK(in.take({"plan", 7, "telemetry"}, {1, 5}) == inbox::verdict::fresh);
  CHECK(in.origins() == 4);
  const auto there = in.present("plant", 7);
  CHECK(there.size() == 2);
  CHECK(there.at("telemetry") == std::vector<seq_range>{{1, 5}, {9, 9}});
  CHECK(there.at("bulk") == std::vector<seq_range>{{3, 4}});
  CHECK(in.present("nobody", 7).empty());
  CHECK(in.ranges({"nobody", 7, "bulk"}).empty());
}

TEST_CASE("beyond a limit only what is new is declined", "[collector]") {
  using verdict = inbox::verdict;
  inbox in({.classes = 2, .origins = 4, .ranges = 3, .holes = 4, .told = 4});
  SECTION("classes of one gateway and epoch") {
    CHECK(in.take({"plant", 7, "a"}, {1, 1}) == verdict::fresh);
    CHECK(in.take({"plant", 7, "b"}, {1, 1}) == verdict::fresh);
    CHECK(in.take({"plant", 7, "c"}, {1, 1}) == verdict::too_many_classes);
    CHECK(in.limit_text(verdict::too_many_classes) == "more than 2 classes of one gateway");
    CHECK(in.take({"plant", 7, "b"}, {2, 2}) == verdict::fresh);
    CHECK(in.take({"plant", 8, "c"}, {1, 1}) == verdict::fresh);
    CHECK(in.origins() == 3);
  }
  SECTION("origins") {
    for (auto gateway : {"a", "b", "c", "d"})
      CHECK(in.take({gateway, 7, "telemetry"}, {1, 1}) == verdict::fresh);
    CHECK(in.take({"e", 7, "telemetry"}, {1, 1}) == verdict::too_many_origins);
    CHECK(in.take({"d", 7, "telemetry"}, {2, 2}) == verdict::fresh);
    in.give_back({"d", 7, "telemetry"}, {1, 2});
    CHECK(in.take({"e", 7, "telemetry"}, {1, 1}) == verdict::fresh);
  }
  SECTION("ranges of one origin") {
    for (std::uint64_t seq : {1, 11, 21})
      CHECK(in.take(plant, {seq, seq}) == verdict::fresh);
    CHECK(in.holes() == 2);
    CHECK(in.take(plant, {31, 31}) == verdict::too_many_ranges);
    CHECK(in.take(plant, {11, 11}) == verdict::duplicate);
    CHECK(in.take(plant, {22, 30}) == verdict::fresh);  // joins the one before
    CHECK(in.take(plant, {20, 20}) == verdict::fresh);  // joins the one behind
    CHECK(in.take(plant, {12, 19}) == verdict::fresh);  // closes a hole
    CHECK(in.take(plant, {32, 32}) == verdict::fresh);
    CHECK(in.holes() == 2);
  }
  SECTION("holes in all") {
    for (std::uint64_t seq : {1, 3, 5}) {
      CHECK(in.take(plant, {seq, seq}) == verdict::fresh);
      CHECK(in.take(other, {seq, seq}) == verdict::fresh);
    }
    const origin third{"yard", 1, "telemetry"};
    CHECK(in.take(third, {5, 5}) == verdict::fresh);  // an origin has its first range whatever the others do
    CHECK(in.take(third, {3, 3}) == verdict::too_many_ranges);
    CHECK(in.take(third, {6, 9}) == verdict::fresh);
    CHECK(in.take(other, {2, 2}) == verdict::fresh);
    CHECK(in.take(third, {3, 3}) == verdict::fresh);
  }
  SECTION("what a file has is known whatever the limits, and a welcome stays short") {
    in.load(plant, {{1, 1}, {3, 3}, {5, 5}, {7, 7}, {9, 9}});
    in.load({"plant", 7, "bulk"}, {{2, 2}});
    CHECK(in.ranges(plant).size() == 5);
    const auto there = in.present("plant", 7);
    CHECK(there.at("bulk") == std::vector<seq_range>{{2, 2}});
    CHECK(there.at("telemetry") == std::vector<seq_range>{{1, 1}, {3, 3}, {5, 5}});
    CHECK(in.take(plant, {6, 6}) == verdict::fresh);
  }
}

TEST_CASE("the last number there is joins no range behind it", "[collector]") {
  inbox in({.ranges = 1});
  constexpr auto top = ~std::uint64_t{0};
  CHECK(in.take(plant, {top, top}) == inbox::verdict::fresh);
  CHECK(in.take(plant, {1, 1}) == inbox::verdict::too_many_ranges);
  CHECK(in.take(plant, {top - 1, top - 1}) == inbox::verdict::fresh);
}

// -- archive ----------------------------------------------------------------------------------------------------------

TEST_CASE("a reopened archive knows what arrived", "[collector]") {
  bench b;
  b.arrives(plant, {1, 3});
  b.arrives(other, {1, 2});
  b.commit();
  b.arrives(plant, {7, 9}, true);
  b.commit();
  archive a(b.settings);
  inbox known;
  a.load(known);
  CHECK(known.origins() == 2);
  CHECK(known.ranges(plant) == std::vector<seq_range>{{1, 3}, {7, 9}});
  CHECK(known.ranges(other) == std::vector<seq_range>{{1, 2}});
  CHECK_THROWS_AS(archive(b.settings), service::already_running);
}

TEST_CASE("many new origins in one commit get ids of their own", "[collector]") {
  bench b;
  constexpr int many = 60'000;  // took half a minute when each looked at all others
  for (int n = 0; n < many; ++n) {
    const origin o{"g" + std::to_string(n), 1, "telemetry"};
    b.present.load(o, {{1, 1}});
    b.arrivals.push_back({o, {1, 1}, 0, v1::GAP_REASON_DAMAGED, false, {}});
  }
  b.commit();
  b.arrives(plant, {1, 1});
  b.commit();
  int lines = 0;
  test::caught_errors errors;
  CHECK(dump({.directory = b.settings.directory}, [&](std::string_view text) {
          lines += static_cast<int>(std::count(text.begin(), text.end(), '\n'));
          return true;
        }) == 0);
  CHECK(lines == many + 1);
}

TEST_CASE("an append that fails leaves the archive as it was", "[collector]") {
  bench b;
  b.arrives(plant, {1, 2});
  b.commit();
  archive a(b.settings);
  inbox known;
  a.load(known);
  const std::string large(200 << 20, 'x');
  CHECK_THROWS_AS(a.append({{other, {1, 1}, 0, 0, false, large}}, known), storage::error);
  b.arrives(plant, {3, 4});
  a.append(b.arrivals, b.present);
  inbox after;
  a.load(after);
  CHECK(after.origins() == 1);
  CHECK(after.ranges(plant) == std::vector<seq_range>{{1, 4}});
}

TEST_CASE("other programs' directories and newer archives are refused", "[collector]") {
  const auto refused = [](const std::string& table, const std::string& value) -> std::string {
    bench b;
    std::filesystem::create_directories(b.settings.directory);
    {
      storage::environment env(b.settings.directory, 1 << 20, storage::environment::mode::read_write);
      const auto rows = *env.open_table(table);
      storage::txn t(env, storage::txn::kind::write);
      t.put(rows, table == "meta" && value.empty() ? "key" : "store", value);
      t.commit();
    }
    const auto before = test::read_file(b.settings.directory + "/data.mdb");
    try {
      archive a(b.settings);
    } catch (const std::runtime_error& e) {
      CHECK(test::read_file(b.settings.directory + "/data.mdb") == before);
      CHECK(std::string(e.what()).find(b.settings.directory) != std::string::npos);
      return e.what();
    }
    return "opened";
  };
  v1::StoreIdentity id;
  id.set_kind("holdfast-store");
  CHECK(refused("accounts", "x").ends_with("an LMDB file of another program"));
  CHECK(refused("meta", "").ends_with("an LMDB file of another program"));
  CHECK(refused("meta", id.SerializeAsString()).ends_with("it is a holdfast-store"));
  CHECK(refused("meta", "\xff\xff").find("it is a") != std::string::npos);
  id.set_kind(archive_kind);
  id.set_oldest_reader(archive_schema + 1);
  CHECK(refused("meta", id.SerializeAsString()).ends_with("written by a newer version"));
}

TEST_CASE("an archive in which a name has changed is damaged, not another program's, and nothing is taken twice for it",
          "[collector]") {
  struct change { std::string name, other; };
  const auto c = GENERATE(values<change>({{"store", "stnre"}, {"meta", "metc"}, {"origins", "originr"},
                                          {"batches", "batcher"}, {"arrivals", "arrivalr"}, {"index", "indey"}}));
  bench b;
  b.arrives(plant, {1, 3});
  b.commit();
  const auto path = b.settings.directory + "/data.mdb";
  const auto bad = test::with_key(test::read_file(path), c.name, c.other);
  test::write_file(path, bad);
  archive a(b.settings);
  INFO(c.other);
  REQUIRE_FALSE(a.set_aside().empty());
  CHECK(test::read_file(a.set_aside()) == bad);
  inbox known;
  a.load(known);
  CHECK(known.origins() == 0);
}
