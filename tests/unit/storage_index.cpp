// What LMDB believes of its own pages, each bit of it: a start sees that it was changed.

#include "common/storage/data_file.hpp"
#include "common/storage/raw_file.hpp"
#include "common/storage/raw_layout.hpp"
#include "store_stocked.hpp"

#include <random>

using namespace store_test;
namespace layout = storage::layout;

namespace {

constexpr std::size_t page = 4096;

/// A store's file with pages of every kind, and ways through it.
struct index_bench : stocked {
  std::string bytes;

  index_bench() {
    {
      auto f = open();
      batch_file::update u(*f);
      u.producer("q", "telemetry", 200, std::string(5000, 'q'));
      u.commit();
    }
    bytes = test::read_file(data());
  }

  template <class T = std::uint64_t> T at(std::size_t offset) const { return layout::at<T>(bytes, offset); }
  std::size_t meta() const { return at(144) > at(page + 144) ? 0 : page; }
  std::size_t node(std::size_t of_page, std::size_t number) const {
    return of_page + at<std::uint16_t>(of_page + 16 + 2 * number);
  }
  std::size_t nodes(std::size_t of_page) const { return (at<std::uint16_t>(of_page + 12) - 16U) / 2; }
  std::string key(std::size_t of_node) const { return bytes.substr(of_node + 8, at<std::uint16_t>(of_node + 6)); }
  std::size_t value(std::size_t of_node) const { return of_node + 8 + at<std::uint16_t>(of_node + 6); }
  /// The first leaf below a page.
  std::size_t leaf(std::uint64_t root) const {
    auto p = root * page;
    while (at<std::uint16_t>(p + 10) == layout::branch)
      p = at<std::uint32_t>(node(p, 0)) * page;
    return p;
  }
  std::size_t record(const std::string& table) const {
    const auto main = leaf(at(meta() + 128));
    for (std::size_t i = 0; i < nodes(main); ++i)
      if (key(node(main, i)) == table)
        return value(node(main, i));
    FAIL(table);
    return 0;
  }

  bool believed(const std::string& changed) const {
    test::write_file(data(), changed);
    return storage::damage_of(settings.directory).empty()
           && storage::raw_file(data()).sound([] { return false; });
  }
  /// How many of the bits from one byte to another may change without a word.
  int believed_bits(std::size_t from, std::size_t to, bool (*harmful)(bool was) = [](bool) { return true; }) const {
    int n = 0;
    for (std::size_t bit = from * 8; bit < to * 8; ++bit) {
      auto changed = bytes;
      const char mask = static_cast<char>(1 << bit % 8);
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ mask);
      if (harmful((bytes[bit / 8] & mask) != 0) && believed(changed)) {
        ++n;
        UNSCOPED_INFO("bit " << bit % 8 << " of byte " << bit / 8);
      }
    }
    return n;
  }
};

bool was_set(bool was) { return was; }
bool was_clear(bool was) { return !was; }

} // namespace

TEST_CASE("what nobody changed is believed", "[store]") {
  const index_bench b;
  CHECK(b.believed(b.bytes));
  CHECK(b.believed(b.sound));
}

TEST_CASE("what LMDB makes of a long life is believed at any moment of it", "[store]") {
  std::mt19937_64 dice(7);
  const auto up_to = [&](std::uint64_t most) { return 1 + dice() % most; };
  bench b;
  auto f = b.open();
  std::uint64_t first = 1;
  for (int commit = 0; commit < 2000; ++commit) {
    batch_file::update u(*f);
    for (auto n = up_to(6); n > 0; --n) {
      const std::string text(up_to(n < 4 ? 20'000 : 2'100), 'x');
      const auto seqs = u.append(n % 2 == 0 ? "telemetry" : "critical", 1, crc32c(text), text);
      if (n == 2 && commit % 3 == 0)  // a small value in the place of a long one
        u.give_up("telemetry", seqs, v1::GAP_REASON_DISPLACED);
    }
    for (auto n = up_to(3); n > 0; --n)  // longer and shorter in one commit
      u.producer("p" + std::to_string(up_to(2)), "telemetry", 1, std::string(up_to(12'000), 'y'));
    if (const auto last = first + up_to(12); commit % 2 == 0 && last < f->head("telemetry")) {
      u.remove("telemetry", {first, last});
      first = last + 1;
    }
    u.commit();
    if (commit % 20 == 0)
      CHECK(storage::raw_file(b.data()).sound([] { return false; }));
  }
  CHECK(f->head("telemetry") > 2000);
  CHECK(f->head("telemetry") - first < 3000);
  CHECK(std::filesystem::file_size(b.data()) > 1 << 20);
}

TEST_CASE("a list of free pages that LMDB could not use", "[store]") {
  const index_bench b;
  const auto first = b.node(b.leaf(b.at(b.meta() + 40 + 40)), 0);
  const bool far = (b.at<std::uint16_t>(first + 4) & layout::big_value) != 0;
  const auto list = far ? b.at(b.value(first)) * page + 16 : b.value(first);
  const auto count = b.at(list);
  REQUIRE(count > 1);
  CHECK(b.believed_bits(list, list + 8, was_clear) == 0);  // fewer: some are never used again
  for (std::uint64_t i = 1; i <= count; ++i)
    CHECK(b.believed_bits(list + i * 8, list + i * 8 + 8) == 0);
}

TEST_CASE("records of tables, their sizes and their flags", "[store]") {
  const index_bench b;
  for (auto& table : {"class/telemetry", "class/critical", "producers", "delivery", "meta"}) {
    const auto record = b.record(table);
    CHECK(b.believed_bits(record + 4, record + 48) == 0);  // the first word is for tables of another kind
    const auto node = record - 8 - std::string(table).size();
    CHECK(b.believed_bits(node, node + 6) == 0);  // its name: by those that are missing then
  }
}

TEST_CASE("entries that would lie over each other, or be of another kind", "[store]") {
  const index_bench b;
  const auto leaf = b.leaf(b.at(b.record("class/telemetry") + 40));
  REQUIRE(b.nodes(leaf) > 3);
  for (std::size_t i = 0; i < b.nodes(leaf); ++i) {
    const auto node = b.node(leaf, i);
    const bool far = (b.at<std::uint16_t>(node + 4) & layout::big_value) != 0;
    if (!far)
      CHECK(b.believed_bits(node, node + 2, was_clear) == 0);  // a shorter one is its checksum's
    CHECK(b.believed_bits(node + 4, node + 6) == 0);
  }
}

TEST_CASE("a last page before others that are in use", "[store]") {
  const index_bench b;
  CHECK(b.believed_bits(b.meta() + 136, b.meta() + 144, was_set) == 0);
}

TEST_CASE("pages of a long row that would be written or freed with others", "[store]") {
  const index_bench b;
  const auto leaf = b.leaf(b.at(b.record("producers") + 40));
  std::size_t far = 0;
  for (std::size_t i = 0; i < b.nodes(leaf); ++i)
    if ((b.at<std::uint16_t>(b.node(leaf, i) + 4) & layout::big_value) != 0)
      far = b.at(b.value(b.node(leaf, i))) * page;
  REQUIRE(far != 0);
  CHECK(b.believed_bits(far, far + 8) == 0);
  CHECK(b.believed_bits(far + 10, far + 16) == 0);
}

TEST_CASE("a batch that claims the pages behind it takes no other with it", "[store]") {
  stocked b;
  const auto original = b.sound;
  int longer = 0;
  for (std::uint64_t seq = 151; seq <= 600; seq += 75) {
    const auto key = storage::seq_key(seq);
    for (auto at = original.find(key); at != std::string::npos; at = original.find(key, at + 1)) {
      if (at < 8 || layout::at<std::uint16_t>(original, at - 2) != 8
          || (layout::at<std::uint16_t>(original, at - 4) & layout::big_value) == 0)
        continue;
      auto changed = original;
      changed[at - 6] = static_cast<char>(changed[at - 6] ^ 1);  // 64 KiB more
      test::write_file(b.data(), changed);
      CHECK(b.looked().records() >= 447);
      ++longer;
    }
  }
  CHECK(longer > 0);
}
