// Batches beside their key whose length a disk has changed while the store runs.

#include "storage_names.hpp"
#include "store_file_bench.hpp"

#include <fstream>

using namespace store_test;

namespace {

/// Changes the length that the nodes with this key say they have: by 512, up or down.
void change_length(const bench& b, std::uint64_t seq) {
  const auto bytes = test::read_file(b.data());
  std::fstream file(b.data(), std::ios::in | std::ios::out | std::ios::binary);
  test::each_node(bytes, storage::seq_key(seq), [&](std::size_t at) {
    file.seekp(static_cast<std::streamoff>(at - 7)).put(static_cast<char>(bytes[at - 7] ^ 0x02));
  });
}

} // namespace

TEST_CASE("a batch that has not the length it was written with is not deleted: its neighbours would move", "[store]") {
  const std::size_t bytes = GENERATE(472U, 528U);  // with the header, with and without a bit of 512
  const bool gives_way = GENERATE(false, true);
  bench b;
  const auto f = b.open();
  for (char c = 'a'; c < 'h'; ++c)
    append(*f, std::string(bytes, c), 1);
  change_length(b, 3);
  {
    batch_file::update u(*f);
    try {
      if (gives_way)
        u.give_up("telemetry", {3, 3}, 1);
      else
        u.remove("telemetry", {1, 7});
      FAIL("deleted");
    } catch (const storage::error& e) {
      CHECK(e.damaged());
      CHECK(std::string(e.what()).find("not the length that was written") != std::string::npos);
    }
  }
  batch_file::update u(*f);
  CHECK(u.remove("telemetry", {4, 7}) == 4);
  CHECK(u.remove("telemetry", {1, 2}) == 2);
}

TEST_CASE("a batch with a damaged header can be deleted: one bit is mended, of more nothing is known", "[store]") {
  const char to = GENERATE('\xf5', '\x7f', '\xff');  // of its length
  bench b;
  { append(*b.open(), std::string(500, 'a'), 1); }
  damage(b, 1, 12, to);
  const auto f = b.open();
  batch_file::update u(*f);
  CHECK(u.remove("telemetry", {1, 1}) == 1);
}
