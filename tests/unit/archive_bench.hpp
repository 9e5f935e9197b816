#pragma once

// A collector's archive on disk with batches of one's choice, and what dump prints of it.

#include "common/core/crc32c.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/record.pb.h"
#include "services/collector/archive.hpp"
#include "services/collector/dump.hpp"
#include "storage_support.hpp"

#include <nlohmann/json.hpp>

#include <iostream>
#include <list>
#include <sstream>

namespace test {

using namespace holdfast;
using namespace holdfast::collector;

inline const origin plant{"plant", 7, "telemetry"};
inline const origin other{"works", 9, "telemetry"};

/// Standard error, caught.
struct caught_errors {
  std::ostringstream text;
  std::streambuf* real = std::cerr.rdbuf(text.rdbuf());
  ~caught_errors() { std::cerr.rdbuf(real); }
};

inline text_sink into(std::ostringstream& out) {
  return [&out](std::string_view lines) -> bool { return static_cast<bool>(out << lines); };
}

struct archive_bench {
  temporary_directory dir;
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
    CHECK(dump(o, into(out)) == expected);
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

} // namespace test
