#pragma once

#include "common/storage/data_file.hpp"
#include "common/storage/lmdb.hpp"
#include "storage_support.hpp"

#include <cstring>

namespace test {

namespace storage = holdfast::storage;

/// A sound file of some hundred pages: short values in leaves, long ones beside them.
struct sample {
  temporary_directory dir;
  std::string data = dir.path("data.mdb");
  std::string bytes;

  sample() {
    storage::environment env(dir.path(), 4 << 20, storage::environment::mode::read_write);
    env.open_table("meta");
    const auto rows = *env.open_table("rows");
    for (std::uint64_t i = 1; i <= 200; ++i) {
      storage::txn t(env, storage::txn::kind::write);
      const std::size_t size = i % 20 == 0 ? 9000 : 500;
      std::memset(t.append(rows, storage::seq_key(i), size), 'x', size);
      t.commit();
    }
    bytes = read_file(data);
  }
  void put(const std::string& what) const { write_file(data, what); }
  std::string damage() const { return storage::damage_of(dir.path()); }
  bool opens() const {
    try {
      storage::environment env(dir.path(), 4 << 20, storage::environment::mode::read_write);
      return true;
    } catch (const storage::error& e) {
      CHECK(e.damaged());
      return false;
    }
  }
};

} // namespace test
