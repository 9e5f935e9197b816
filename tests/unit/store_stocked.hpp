#pragma once

// A store's file with something in it, and what salvage makes of it.

#include "holdfast/v1/record.pb.h"
#include "services/store/salvage.hpp"
#include "store_file_bench.hpp"

#include <cstring>

namespace store_test {

inline std::string payload(std::uint64_t first, std::uint32_t count, std::size_t bytes) {
  v1::Batch b;
  b.add_streams("press");
  for (std::uint64_t n = first; n < first + count; ++n)
    b.add_records()->set_data(std::string(bytes, static_cast<char>('a' + n % 26)));
  return b.SerializeAsString();
}

/// 200 batches of 3 records for the centre; the first 50 are delivered and removed.
struct stocked : bench {
  std::string sound;
  const std::vector<config::destination> destinations{{"centre", {"telemetry"}}};

  std::unique_ptr<batch_file> open() {
    return std::make_unique<batch_file>(settings, "plant", classes, destinations);
  }

  stocked() {
    auto f = open();
    for (std::uint64_t n = 0; n < 200; ++n)
      append(*f, payload(n * 3 + 1, 3, n % 5 == 0 ? 2000 : 100), 3);
    batch_file::update u(*f);
    u.producer("p", "telemetry", 200, "here");
    u.delivered("centre", "telemetry", {{1, 150}});
    u.remove("telemetry", {1, 150});
    u.commit();
    f.reset();
    sound = test::read_file(data());
  }
  salvaged looked() const { return salvage({.file = data(), .wanted = {{"telemetry", {"centre"}}}}); }
};

template <class T> T at(const std::string& bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// Where the list of tables begins in the file.
inline std::size_t list_of_tables(const std::string& bytes) {
  constexpr std::size_t page = 4096;
  const auto meta = at<std::uint64_t>(bytes, 144) > at<std::uint64_t>(bytes, page + 144) ? 0 : page;
  return at<std::uint64_t>(bytes, meta + 128) * page;
}

/// Where the root page of class telemetry begins in it.
inline std::size_t telemetry_root(const std::string& bytes) {
  constexpr std::string_view table = "class/telemetry";
  const auto row = bytes.find(table, list_of_tables(bytes));
  return at<std::uint64_t>(bytes, row + table.size() + 40) * 4096;
}

} // namespace store_test
