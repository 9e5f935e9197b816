// Rows that are not what was written, and what a salvage makes of damaged files.

#include "common/storage/row.hpp"
#include "store_stocked.hpp"

#include <cstring>
#include <sstream>
#include <sys/mman.h>

using namespace store_test;

namespace {

constexpr std::size_t page = 4096;

/// Changes the row in the file as a disk does: LMDB writes what is given to it.
void put_row(const bench& b, const std::string& table, const std::string& key, const std::string& value) {
  b.meddle([&](storage::environment& env) {
    const auto rows = *env.open_table(table);
    storage::txn t(env, storage::txn::kind::write);
    t.put(rows, key, value);
    t.commit();
  });
}

const std::string centre_telemetry = std::string("centre") + '\0' + "telemetry";

v1::DeliveryRow delivery_row(std::vector<seq_range> ranges) {
  v1::DeliveryRow row;
  for (auto& r : ranges) {
    auto& to = *row.add_ranges();
    to.set_first(r.first);
    to.set_last(r.last);
  }
  return row;
}

} // namespace

TEST_CASE("a row is believed where it was written, whole; without a checksum it is an older one", "[storage]") {
  v1::ProducerRow row;
  row.set_last_seq(77);
  row.set_position("here");
  const auto sealed = storage::seal("producers", "p", row);
  v1::ProducerRow read;
  REQUIRE(storage::unseal("producers", "p", sealed, read));
  CHECK(read.SerializeAsString() == row.SerializeAsString());
  CHECK_FALSE(storage::unseal("producers", "q", sealed, read));
  CHECK_FALSE(storage::unseal("links", "p", sealed, read));
  int believed = 0;
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto bad = sealed;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    believed += storage::unseal("producers", "p", bad, read) && read.last_seq() != 77 ? 1 : 0;
  }
  CHECK(believed == 0);
  CHECK(storage::unseal("producers", "p", row.SerializeAsString(), read));
  CHECK(storage::seal("producers", "p", read) == sealed);
}

TEST_CASE("a row longer than Protobuf takes is not believed for its beginning", "[storage]") {
  v1::ProducerRow row;
  row.set_last_seq(77);
  const auto plain = row.SerializeAsString();
  const auto bytes = (std::size_t{1} << 32) + plain.size();
  void* const room = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(room != MAP_FAILED);
  std::memcpy(room, plain.data(), plain.size());
  CHECK_FALSE(storage::unseal("producers", "p", {static_cast<const char*>(room), bytes}, row));
  ::munmap(room, bytes);
}

TEST_CASE("confirmed ranges that cannot be are not believed: the records stay and are offered", "[store]") {
  const auto bad = GENERATE(values<std::vector<seq_range>>({
    {{10, 5}}, {{0, 20}}, {{1, 10}, {5, 30}}, {{1, 20}, {7, 8}}, {{1, 150}, {200, 100'000}}, {{1, UINT64_MAX}}}));
  const bool sealed = GENERATE(false, true);
  stocked b;
  put_row(b, "delivery", centre_telemetry,
          sealed ? storage::seal("delivery", centre_telemetry, delivery_row(bad))
                 : delivery_row(bad).SerializeAsString());
  auto f = b.open();
  CHECK_FALSE(f->set_aside().empty());
  CHECK(f->salvaged().find("450 records held in 150 batches (seq 151-600), 150 doubtful: seq 1-150")
        != std::string::npos);
  producer_table producers;
  delivery_state delivery;
  delivery.want("centre", "telemetry");
  f->load(producers, delivery);
  CHECK(delivery.missing("centre", "telemetry", f->head("telemetry")) == std::vector<seq_range>{{1, 600}});
  CHECK(producers.find("p")->committed == 200);
  CHECK(f->read_from("telemetry", 151)->payload.view() == payload(151, 3, 2000));
  CHECK(f->head("telemetry") == 600);
}

TEST_CASE("a flipped bit in any row that counts costs that row, not the records", "[store]") {
  struct change { std::string table, key; };
  const auto c = GENERATE(values<change>({{"meta", "store"}, {"classes", "telemetry"}, {"producers", "p"},
                                          {"delivery", centre_telemetry}}));
  stocked b;
  const auto epoch = b.open()->epoch();
  std::string value;
  b.meddle([&](storage::environment& env) {
    const auto rows = *env.open_table(c.table);
    value = *storage::txn(env, storage::txn::kind::read).get(rows, c.key);
  });
  value[1] = static_cast<char>(value[1] ^ 0x20);
  put_row(b, c.table, c.key, value);
  auto f = b.open();
  CHECK_FALSE(f->set_aside().empty());
  CHECK(f->epoch() != epoch);
  CHECK(f->head("telemetry") == 600);
  for (std::uint64_t seq = 151; seq <= 600; seq += 3)
    CHECK(f->read_from("telemetry", seq)->gap_reason == 0);
}

TEST_CASE("rows that no record hangs on are left out when they are damaged", "[store]") {
  stocked b;
  const auto epoch = b.open()->epoch();
  v1::LinkRow link;
  link.set_drained(true);
  put_row(b, "links", "fibre", storage::seal("links", "5g", link));
  put_row(b, "links", "sat", storage::seal("links", "sat", link));
  put_row(b, "journal", "centre", "\xff");
  put_row(b, "meta", "expiry", "\xff");
  const auto f = b.open();
  CHECK(f->epoch() == epoch);
  CHECK(f->links().size() == 1);
  CHECK(f->journals().empty());
  CHECK(f->expiry().marks().empty());
}

TEST_CASE("a salvage of a sound file finds everything and changes nothing", "[store]") {
  stocked b;
  const auto found = b.looked();
  CHECK(found.complete());
  CHECK(found.text() == "class critical: 0 records held in 0 batches; "
                        "class telemetry: 450 records held in 150 batches (seq 151-600)");
  CHECK(test::read_file(b.data()) == b.sound);
  std::ostringstream out;
  const auto into = b.dir.path("salvaged");
  CHECK(salvage(b.settings.directory, into, out) == 0);
  CHECK(test::read_file(b.data()) == b.sound);
  CHECK(salvage(b.settings.directory, into, out) == 2);  // a store is there
  const auto old = b.open()->epoch();
  bench other;
  other.settings.directory = into;
  auto f = other.open();
  CHECK(f->epoch() != old);
  CHECK(append(*f, "new", 1) == seq_range{601, 601});
  CHECK(f->read_from("telemetry", 598)->payload.view() == payload(598, 3, 100));
}

TEST_CASE("whatever page is damaged, all on the others is salvaged and the rest is named", "[store]") {
  stocked b;
  const auto kind = GENERATE(0, 1, 2);
  std::uint64_t least = UINT64_MAX;
  std::uint64_t lost = 0;
  for (std::size_t n = 0; n < b.sound.size() / page; ++n) {
    auto bytes = b.sound;
    if (kind == 0)
      std::memset(bytes.data() + n * page, 0, page);
    else if (kind == 1)
      std::memset(bytes.data() + n * page, '\xff', page);
    else
      std::memset(bytes.data() + n * page + 16, '\x11', 64);
    test::write_file(b.data(), bytes);
    const auto found = b.looked();
    INFO("page " << n << ": " << found.text());
    const auto& lane = found.classes.at("telemetry");
    const auto backlog = [](const std::vector<seq_range>& ranges) {  // what is not delivered
      std::uint64_t sum = 0;
      for (auto& r : ranges)
        sum += r.last >= 151 ? r.last - std::max<std::uint64_t>(r.first, 151) + 1 : 0;
      return sum;
    };
    const auto gone = backlog(lane.lost) + backlog(lane.doubtful);
    CHECK(backlog(lane.held) + gone == 450);
    least = std::min(least, backlog(lane.held));
    lost += gone;
  }
  CHECK(least >= 300);  // a leaf has some dozens of batches
  CHECK(lost > 0);
}

TEST_CASE("a page that says of itself it is in memory costs nothing and ends nobody", "[store]") {
  stocked b;
  int aside = 0;
  for (std::size_t n = 2; n < b.sound.size() / page; ++n) {
    auto bytes = b.sound;
    bytes[n * page + 10] = static_cast<char>(bytes[n * page + 10] | 0x10);  // P_DIRTY: LMDB writes to such a page
    std::filesystem::remove_all(b.settings.directory);
    std::filesystem::create_directories(b.settings.directory);
    test::write_file(b.data(), bytes);
    auto f = b.open();
    INFO("page " << n << ": " << f->salvaged());
    CHECK(append(*f, "new", 1) == seq_range{601, 601});
    CHECK(f->read_from("telemetry", 151)->payload.view() == payload(151, 3, 2000));
    CHECK((f->set_aside().empty() || f->salvaged().find("450 records held") != std::string::npos));
    aside += f->set_aside().empty() ? 0 : 1;
  }
  CHECK(aside > 10);
}

TEST_CASE("what a salvage stored as lost is told as damaged, and is no damage of the new file", "[store]") {
  stocked b;
  for (std::size_t n = 2; n < b.sound.size() / page; ++n) {
    auto bytes = b.sound;
    std::memset(bytes.data() + n * page, 0, page);
    test::write_file(b.data(), bytes);
    if (b.looked().classes.at("telemetry").lost.empty())
      continue;
    const auto f = b.open();
    REQUIRE_FALSE(f->set_aside().empty());
    const auto found = b.looked().classes.at("telemetry");
    REQUIRE(found.gap_records > 0);
    for (std::uint64_t seq = 151, gaps = 0; seq <= 600 || gaps == 0;) {
      const auto at = f->read_from("telemetry", seq);
      REQUIRE(at);
      CHECK_FALSE(at->unreadable);
      if (at->gap_reason != 0) {
        CHECK(at->gap_reason == v1::GAP_REASON_DAMAGED);
        ++gaps;
      }
      seq = at->seqs.last + 1;
    }
    return;
  }
  FAIL("no page whose loss is known");
}

TEST_CASE("a lost meta page costs no commit that can be found, and what may be missing is told", "[store]") {
  stocked b;
  append(*b.open(), payload(601, 3, 100), 3);
  const auto sound = test::read_file(b.data());
  const auto meta = GENERATE(0U, 1U);
  auto bytes = sound;
  std::memset(bytes.data() + meta * page, 0, page);
  test::write_file(b.data(), bytes);
  const auto found = b.looked();
  CHECK(found.classes.at("telemetry").held == std::vector<seq_range>{{151, 603}});
  CHECK_FALSE(found.complete());
  CHECK(b.open()->read_from("telemetry", 601)->payload.view() == payload(601, 3, 100));
}

TEST_CASE("an empty file is set aside, and what begins has an epoch of its own", "[store]") {
  stocked b;
  const auto epoch = b.open()->epoch();
  test::write_file(b.data(), "");
  const auto f = b.open();
  CHECK(std::filesystem::file_size(f->set_aside()) == 0);
  CHECK(f->epoch() != epoch);
  CHECK(f->head("telemetry") == 0);
}

TEST_CASE("a file cut off anywhere gives what is before the cut", "[store]") {
  stocked b;
  std::uint64_t before = 0;
  int whole = 0;
  for (std::size_t n = 0; n < b.sound.size(); n += 3 * page + 100) {
    test::write_file(b.data(), b.sound.substr(0, n));
    const auto found = b.looked();
    INFO(n << " of " << b.sound.size() << ": " << found.text());
    CHECK((!found.complete() || found.records() == 450));
    whole += found.complete() ? 1 : 0;
    before = std::max(before, found.records());
  }
  CHECK(before > 200);
  CHECK(whole <= 1);  // a free page at the end
  test::write_file(b.data(), std::string(50'000, 'x'));
  CHECK(b.looked().classes.empty());
}
