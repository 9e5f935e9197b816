// What dump gives of an archive whose pages are damaged, and when the archive goes away below it.

#include "archive_bench.hpp"
#include "services/collector/archive_view.hpp"
#include "services/collector/dump_progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

using namespace holdfast;
using namespace holdfast::collector;
namespace fs = std::filesystem;
using bench = test::archive_bench;
using test::caught_errors;
using test::other;
using test::plant;

namespace {

constexpr std::size_t page = 4096;

struct outcome {
  int code = 0;
  std::vector<std::uint64_t> printed{};
  std::string said{};
  bool twice() const { return std::set(printed.begin(), printed.end()).size() != printed.size(); }
};

/// 600 batches of one record on some hundred pages, and what is printed of them after a change of the file.
struct damaged_archive {
  bench b;
  std::string path = b.settings.directory + "/data.mdb";
  std::string sound;

  damaged_archive() {
    for (std::uint64_t n = 1; n <= 600; ++n)
      b.arrives(plant, {n, n});
    b.commit();
    sound = test::read_file(path);
  }
  outcome dumped(const std::string& bytes, dump_options o = {}) const {
    test::write_file(path, bytes);
    o.directory = b.settings.directory;
    caught_errors errors;
    outcome got;
    got.code = dump(o, [&](std::string_view text) {
      std::istringstream lines{std::string(text)};
      for (std::string line; std::getline(lines, line);)
        got.printed.push_back(nlohmann::json::parse(line)["seq"]);
      return true;
    });
    got.said = errors.text.str();
    return got;
  }
  std::string with_page(std::size_t n, char fill) const {
    auto bytes = sound;
    std::memset(bytes.data() + n * page, fill, page);
    return bytes;
  }
};

} // namespace

TEST_CASE("whatever page is damaged, dump says what it cannot read and goes on behind it", "[collector]") {
  damaged_archive a;
  const bool arrival_order = GENERATE(false, true);
  const auto fill = GENERATE('\0', '\x02');
  int went_on = 0;
  for (std::size_t n = 2; n < a.sound.size() / page; ++n) {
    const auto got = a.dumped(a.with_page(n, fill), {.arrival_order = arrival_order});
    INFO("page " << n << ": " << got.said);
    CHECK_FALSE(got.twice());
    CHECK(std::is_sorted(got.printed.begin(), got.printed.end()));
    CHECK((got.code == 0) == (got.printed.size() == 600));
    CHECK((got.code == 0) == got.said.empty());
    if (got.code == 1)
      CHECK(got.said.find(fmt::format(R"(unreadable: gateway "plant" class "telemetry" epoch 0000000000000007: )"
                                      "{} records, seq ", 600 - got.printed.size())) != std::string::npos);
    const bool ends = !got.printed.empty() && got.printed.front() == 1 && got.printed.back() == 600;
    went_on += ends && got.printed.size() < 600 ? 1 : 0;
  }
  CHECK(went_on > 3);
}

TEST_CASE("pages in the places of others lead no dump round in circles", "[collector]") {
  damaged_archive a;
  const bool arrival_order = GENERATE(false, true);
  const auto pages = a.sound.size() / page;
  std::size_t most = 0;
  for (std::size_t n = 2; n < pages; ++n) {
    auto bytes = a.sound;
    const auto from = 2 + n * 7 % (pages - 2);  // its number stays
    std::memcpy(bytes.data() + n * page + 8, a.sound.data() + from * page + 8, page - 8);
    std::size_t looks = 0;
    const auto got = a.dumped(bytes, {.arrival_order = arrival_order, .stop = [&] { return ++looks > 20'000; }});
    INFO("page " << from << " at " << n << ": " << got.said);
    CHECK_FALSE(got.twice());
    most = std::max(most, looks);
  }
  CHECK(most < 5'000);
}

TEST_CASE("filters do not hide what cannot be read; of other gateways nothing is told", "[collector]") {
  bench b;
  b.arrives(plant, {1, 2});
  b.arrives(other, {1, 3});
  b.commit();
  {
    storage::environment env(b.settings.directory, 16 << 20, storage::environment::mode::read_write);
    const auto index = *env.open_table("index");
    storage::txn t(env, storage::txn::kind::write);
    REQUIRE(t.erase(index, storage::seq_key(2) + storage::seq_key(1)));
    t.commit();
  }
  caught_errors errors;
  CHECK(b.dumped({.gateway = "plant"}) == "p1 p2 ");
  CHECK(errors.text.str().empty());
  CHECK(b.dumped({.stream = "oven"}, 1).empty());
  CHECK(errors.text.str()
        == R"(unreadable: gateway "works" class "telemetry" epoch 0000000000000009: 3 records, seq 1 to 3)""\n");
}

TEST_CASE("dump refuses a file that is cut off", "[collector]") {
  damaged_archive a;
  const auto got = a.dumped(a.sound.substr(0, 3 * page));
  CHECK(got.code == 2);
  CHECK(got.said.find("where its meta page promises") != std::string::npos);
}

TEST_CASE("following ends when the archive is replaced or removed", "[collector]") {
  damaged_archive a;
  const bool removed = GENERATE(false, true);
  int asked = 0;
  const auto got = a.dumped(a.sound, {.follow = true, .stop = [&] {
    if (++asked == 1) {
      fs::rename(a.path, a.path + ".old");
      if (!removed)
        fs::copy(a.path + ".old", a.path);
    }
    return asked > 2000;
  }});
  CHECK(got.code == 2);
  CHECK(got.said.find("its data.mdb was replaced or removed\n") != std::string::npos);
}

TEST_CASE("only what had arrived when a reader began must be there for it", "[collector]") {
  const auto row = [](std::vector<seq_range> ranges) {
    v1::OriginRow r;
    for (auto& range : ranges) {
      auto& to = *r.add_ranges();
      to.set_first(range.first);
      to.set_last(range.last);
    }
    return r;
  };
  dump_progress p;
  p.learn(row({{1, 2}, {5, 6}}));
  CHECK(p.unread() == "4 records, seq 1 to 2, 5 to 6");
  p.read(1, 2);
  p.read(5, 1);
  CHECK(p.next == 6);
  p.learn(row({{1, 9}}));  // 3 and 4 came behind the reader
  CHECK(p.unread() == "1 records, seq 6 to 6");
  CHECK(p.held_beyond() == 4);
  CHECK(p.has_arrived({2, 9}));
  CHECK_FALSE(p.has_arrived({9, 10}));
  p.read(6, 1);
  CHECK(p.unread().empty());
}
