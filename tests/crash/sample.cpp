#include "tests/crash/sample.hpp"

#include "common/core/crc32c.hpp"
#include "holdfast/v1/record.pb.h"
#include "services/collector/archive.hpp"
#include "services/store/batch_file.hpp"

#include <algorithm>

namespace holdfast::crash {

namespace {
constexpr std::uint64_t batches = 1200;
constexpr std::uint64_t delivered = 200;  // of them
} // namespace

const std::vector<config::record_class>& classes() {
  static const std::vector<config::record_class> all{{"critical", 10}, {"telemetry", 100}};
  return all;
}

std::string payload(std::uint64_t number) {
  v1::Batch b;
  b.add_streams("press-7/force");
  const std::size_t bytes = number % 3 == 0 ? 20 : number % 3 == 1 ? 500 : 3000;
  for (std::uint32_t i = 0; i < records_each; ++i)
    b.add_records()->set_data(std::string(bytes, static_cast<char>('a' + (number + i) % 26)));
  return b.SerializeAsString();
}

std::uint32_t crc_at(const std::string& record_class, std::uint64_t seq) {
  const auto batch = (seq - 1) / records_each;
  return crc32c(payload(record_class == "telemetry" ? batch : (batch + 1) * 8));
}

void make_store(const std::string& directory) {
  store::batch_file f({.directory = directory, .quota = config::mib(64)}, "gateway-1", classes());
  for (std::uint64_t n = 0; n < batches;) {
    store::batch_file::update u(f);
    for (std::uint64_t i = 0; i < 8; ++i, ++n)
      u.append("telemetry", records_each, crc32c(payload(n)), payload(n));
    u.append("critical", records_each, crc32c(payload(n)), payload(n));
    u.producer("acquisition/lines", "telemetry", n, std::to_string(n));
    u.delivered("centre", "telemetry", {{1, std::min(n, delivered) * records_each}});
    u.remove("telemetry", {1, std::min(n, delivered) * records_each});
    u.commit();
  }
}

void make_archive(const std::string& directory) {
  collector::archive a({.directory = directory, .quota = config::mib(64)});
  collector::inbox present;
  const collector::origin origin{"gateway-1", 7, "telemetry"};
  a.load(present);
  for (std::uint64_t n = 0; n < batches / 2; ++n) {
    const seq_range r{n * records_each + 1, (n + 1) * records_each};
    present.take(origin, r);
    const auto bytes = payload(n);
    a.append({{origin, r, crc32c(bytes), 0, false, bytes}}, present);
  }
}

} // namespace holdfast::crash
