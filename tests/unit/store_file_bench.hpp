#pragma once

// A store's file in a directory of its own, and ways to harm it.

#include "common/core/crc32c.hpp"
#include "common/storage/opening.hpp"
#include "services/store/batch_file.hpp"
#include "storage_support.hpp"

namespace store_test {

using namespace holdfast;
using namespace holdfast::store;

inline const std::vector<config::record_class> classes{{"critical", 10}, {"telemetry", 100}};

struct bench {
  test::temporary_directory dir;
  config::store settings{.directory = dir.path("store"), .quota = config::mib(8)};

  std::unique_ptr<batch_file> open() { return std::make_unique<batch_file>(settings, "plant", classes); }
  std::string data() const { return settings.directory + "/data.mdb"; }

  /// Opens the file behind the store's back.
  template <class F> void meddle(F work) const {
    std::filesystem::create_directories(settings.directory);
    storage::environment env(settings.directory, 16 << 20, storage::environment::mode::read_write);
    work(env);
  }
  std::string refused() {
    try {
      open();
    } catch (const storage::foreign_directory& e) {
      return e.what();
    }
    return "opened";
  }
};

inline seq_range append(batch_file& f, const std::string& payload, std::uint32_t count,
                        const std::string& c = "telemetry") {
  batch_file::update u(f);
  const auto seqs = u.append(c, count, crc32c(payload), payload);
  u.commit();
  return seqs;
}

/// Changes bytes of a stored batch: from the front, or from the back where `at` is negative.
inline void damage(const bench& b, std::uint64_t seq, int at, char to) {
  b.meddle([&](storage::environment& env) {
    const auto rows = *env.open_table("class/telemetry");
    storage::txn t(env, storage::txn::kind::write);
    std::string value(*t.get(rows, storage::seq_key(seq)));
    value[static_cast<std::size_t>(at < 0 ? static_cast<int>(value.size()) + at : at)] = to;
    t.put(rows, storage::seq_key(seq), value);
    t.commit();
  });
}

/// Writes a batch anew as layout 1 had it, with a number of records of one's choice.
inline void in_first_layout(const bench& b, std::uint64_t seq, char records) {
  b.meddle([&](storage::environment& env) {
    const auto rows = *env.open_table("class/telemetry");
    storage::txn t(env, storage::txn::kind::write);
    std::string value(*t.get(rows, storage::seq_key(seq)));
    value[0] = value[1] = 1;
    value[4] = records;
    t.put(rows, storage::seq_key(seq), value.erase(24, 4));
    t.commit();
  });
}

} // namespace store_test
