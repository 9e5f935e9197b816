#pragma once

#include "common/storage/lmdb.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast::store {

/// The store that a salvage makes; without a directory nothing happens.
class salvage_copy {
public:
  salvage_copy(const std::string& directory, std::uint64_t bytes) {
    if (directory.empty())
      return;
    std::filesystem::create_directories(directory);
    env_ = std::make_unique<storage::environment>(directory, bytes, storage::environment::mode::read_write);
  }

  void put(const std::string& table, std::string_view key, std::string_view value) {
    if (!env_)
      return;
    const auto known = tables_.find(table);
    auto& to = known != tables_.end() ? known->second : open(table);
    if (!txn_)
      txn_ = std::make_unique<storage::txn>(*env_, storage::txn::kind::write);
    if (key > to.last) {  // then pages become as full as the store's own; put() leaves half of two batches' page empty
      std::copy(value.begin(), value.end(), txn_->append(to.table, key, value.size()));
      to.last = key;
    } else {
      txn_->put(to.table, key, value);
    }
    if ((waiting_ += key.size() + value.size()) > commit_bytes)
      commit();
  }
  void commit() {
    if (txn_)
      txn_->commit();
    txn_.reset();
    waiting_ = 0;
  }

private:
  struct destination {
    storage::table table = 0;
    std::string last{};  // key
  };
  destination& open(const std::string& table) {
    commit();  // one write transaction at a time
    return tables_[table] = {.table = *env_->open_table(table)};
  }
  static constexpr std::uint64_t commit_bytes = 16 << 20;
  std::unique_ptr<storage::environment> env_;
  std::unique_ptr<storage::txn> txn_;
  std::map<std::string, destination> tables_;
  std::uint64_t waiting_ = 0;
};

} // namespace holdfast::store
