#include "common/core/crc32c.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/record.pb.h"
#include "holdfast/v1/storage.pb.h"
#include "services/collector/archive.hpp"
#include "services/collector/dump.hpp"
#include "storage_support.hpp"

#include <nlohmann/json.hpp>

#include <iostream>
#include <list>
#include <sstream>

using namespace holdfast;
using namespace holdfast::collector;

namespace {

const origin plant{"plant", 7, "telemetry"};
const origin other{"works", 9, "telemetry"};

/// Standard error, caught.
struct caught_errors {
  std::ostringstream text;
  std::streambuf* real = std::cerr.rdbuf(text.rdbuf());
  ~caught_errors() { std::cerr.rdbuf(real); }
};

struct bench {
  test::temporary_directory dir;
  config::collector settings{.directory = dir.path("archive"), .quota = config::mib(8)};
  inbox present;
  std::list<std::string> payloads;  // the arrivals point into them
  std::vector<archive::arrival> arrivals;

  void arrives(const origin& o, seq_range r, bool historical = false, const std::string& stream = "press") {
    v1::Batch b;
    b.add_streams(stream);
    for (auto n = r.first; n <= r.last; ++n)
      b.add_records()->set_integer(static_cast<std::int64_t>(n));
    payloads.push_back(b.SerializeAsString());
    REQUIRE(present.take(o, r) == inbox::verdict::fresh);
    arrivals.push_back({o, r, crc32c(payloads.back()), 0, historical, payloads.back()});
  }
  void commit() {
    archive a(settings);
    inbox known;
    a.load(known);
    a.append(std::exchange(arrivals, {}), present);
    CHECK(a.used_bytes() > 0);
  }
  /// The seqs of the lines, gaps as "first+count".
  std::string dumped(dump_options o = {}, int expected = 0) const {
    o.directory = settings.directory;
    std::ostringstream out;
    CHECK(dump(o, out) == expected);
    std::istringstream lines(out.str());
    std::string seqs;
    for (std::string line; std::getline(lines, line);) {
      const auto j = nlohmann::json::parse(line);
      seqs += j["gateway"].get<std::string>().substr(0, 1) + std::to_string(j["seq"].get<int>());
      if (j.contains("gap"))
        seqs += "+" + std::to_string(j["gap"]["count"].get<int>());
      else
        CHECK(j["value"] == j["seq"]);
      seqs += ' ';
    }
    return seqs;
  }
  void damage(std::uint64_t arrival, std::size_t at) const {
    storage::environment env(settings.directory, 16 << 20, storage::environment::mode::read_write);
    const auto rows = *env.open_table("batches");
    storage::txn t(env, storage::txn::kind::write);
    std::string value(*t.get(rows, storage::seq_key(arrival)));
    value.at(at) = static_cast<char>(value.at(at) ^ 0x55);
    t.put(rows, storage::seq_key(arrival), value);
    t.commit();
  }
};

} // namespace

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
  CHECK(dump({.directory = b.settings.directory, .stats_only = true}, out) == 0);
  CHECK(out.str()
        == "{\"gateway\":\"plant\",\"epoch\":\"0000000000000007\",\"class\":\"telemetry\",\"records\":6,\"ranges\":2}\n");
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
  CHECK(errors.text.str().find("damaged batch: gateway plant class telemetry seq 3\n") == 0);
}

TEST_CASE("dump of what is no archive fails with a reason", "[collector]") {
  test::temporary_directory dir;
  caught_errors errors;
  std::ostringstream out;
  CHECK(dump({.directory = dir.path("nowhere")}, out) == 2);
  {
    storage::environment env(dir.path(), 1 << 20, storage::environment::mode::read_write);
    env.open_table("origins");
  }
  CHECK(dump({.directory = dir.path()}, out) == 2);
  CHECK(errors.text.str().find("not a collector's directory") != std::string::npos);
  bench b;
  b.arrives(plant, {1, 2});
  b.commit();
  out.setstate(std::ios::badbit);
  CHECK(dump({.directory = b.settings.directory, .follow = true}, out) == 0);  // nobody reads any more
}
