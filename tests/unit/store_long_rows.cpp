// Rows so long that they lie on pages of their own, whose header a disk has changed.

#include "archive_bench.hpp"
#include "store_stocked.hpp"

using namespace store_test;

namespace {

/// Changes bits of a byte in the header of the pages that begin with this value.
std::string with_header(std::string bytes, const std::string& value, std::size_t place, char bits) {
  const auto at = bytes.find(value);
  REQUIRE(at % 4096 == 16);
  bytes[at - 16 + place] = static_cast<char>(bytes[at - 16 + place] ^ bits);
  return bytes;
}

std::string row_in(const std::string& directory, const std::string& table) {
  storage::environment env(directory, 16 << 20, storage::environment::mode::read_write);
  const auto rows = *env.open_table(table);
  storage::txn t(env, storage::txn::kind::read);
  return std::string(storage::cursor(t, rows).first()->value);
}

struct change { std::size_t place; char bits; };
const change number{0, 0x01}, in_memory{10, 0x10}, pages{12, 0x02};

} // namespace

TEST_CASE("a long row whose pages are damaged is damage of the file, and is not written over", "[store]") {
  stocked b;
  std::vector<seq_range> odd;
  for (std::uint64_t seq = 1; seq <= 600; seq += 2)
    odd.push_back({seq, seq});
  {
    const auto f = b.open();
    batch_file::update u(*f);
    u.delivered("centre", "telemetry", odd);
    u.commit();
  }
  const auto row = row_in(b.settings.directory, "delivery");
  REQUIRE(row.size() > 2048);
  const auto c = GENERATE(number, in_memory, pages);
  test::write_file(b.data(), with_header(test::read_file(b.data()), row, c.place, c.bits));
  const auto f = b.open();
  CHECK_FALSE(f->set_aside().empty());
  batch_file::update u(*f);
  u.delivered("centre", "telemetry", odd);
  CHECK_NOTHROW(u.commit());
  CHECK(f->read_from("telemetry", 151)->payload.view() == payload(151, 3, 2000));
}

TEST_CASE("a long row of an archive whose pages are damaged is damage of the file", "[collector]") {
  test::archive_bench b;
  for (std::uint64_t seq = 1; seq <= 600; seq += 2)
    b.arrives(test::plant, {seq, seq});
  b.commit();
  const auto path = b.settings.directory + "/data.mdb";
  const auto row = row_in(b.settings.directory, "origins");
  REQUIRE(row.size() > 2048);
  const auto c = GENERATE(number, in_memory, pages);
  test::write_file(path, with_header(test::read_file(path), row, c.place, c.bits));
  CHECK_FALSE(test::archive(b.settings).set_aside().empty());
}
