#pragma once

#include "common/config/config.hpp"
#include "common/core/range_set.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace holdfast::store {

/// Which classes give way to others, how much of them, and whose producers wait. Pure.
///
/// A class has two limits: its own quota, and the store's, of which the last tenth is for the most urgent class (the
/// lowest priority number) alone. At its own it gives way to itself or, with overflow `reject`, waits. At the store's
/// classes that drop give way, the least urgent first, but never one that is more urgent than who needs the room. Where
/// nobody can give way any more, it waits; it goes on a twentieth below the limit.
class class_policy {
public:
  using sizes = std::map<std::string, std::uint64_t>;  // bytes by class
  struct victim {
    std::string record_class;
    std::uint64_t bytes = 0;
    bool for_store = false;  ///< not only for its own limit
    friend bool operator==(const victim&, const victim&) = default;
  };

  class_policy() = default;
  class_policy(const std::vector<config::record_class>& classes, std::uint64_t store_quota);

  /// Who makes room for `incoming`. `used`: what each class takes; `total`: with what else is in the file.
  std::vector<victim> give_way(const sizes& used, std::uint64_t total, const sizes& incoming) const;
  /// Who makes room on a full disk, where everybody waits: of the least urgent classes those that drop.
  std::vector<std::string> give_way_on_disk() const;
  /// It gave way to the store's limit, or the disk's, and has no batch left. Counts until there is room again: what it
  /// stores meanwhile is too little for others.
  void exhausted(const std::string& record_class) { of(record_class).exhausted = true; }

  /// After a commit.
  void measured(const sizes& used, std::uint64_t total, bool disk_is_full = false);
  /// Its producers wait.
  bool waits(const std::string& record_class) const { return of(record_class).waits; }

private:
  struct entry {
    std::string name;
    unsigned priority;
    bool drops;
    std::uint64_t own;    // limit of what it takes
    std::uint64_t store;  // limit of what all take while it stores
    bool exhausted = false;
    bool waits = false;
  };
  entry& of(const std::string& record_class);
  const entry& of(const std::string& record_class) const { return const_cast<class_policy*>(this)->of(record_class); }
  bool can_make_room(const entry& for_whom) const;

  std::vector<entry> entries_;  // most urgent first
};

/// In which order the batches of one class give way. Pure: it is shown each batch from next() on.
///
/// drop-oldest: each, from the oldest on. thin: stretches by turns stay and give way, from the oldest on; at the end it
/// begins anew with what is left. A stretch is one batch, or as many small ones as take 16 KiB: fewer would free no page
/// of the file. When only one stretch is left, that one goes.
class give_way_order {
public:
  static constexpr std::uint64_t stretch = 16 << 10;

  explicit give_way_order(config::overflow_rule how = config::overflow_rule::drop_oldest)
      : thin_(how == config::overflow_rule::thin) {}

  std::uint64_t next() const noexcept { return next_; }
  /// The first batch at or after next(): does it give way?
  bool takes(seq_range batch, std::uint64_t bytes);
  /// There is none: begins anew.
  void end();

private:
  bool thin_;
  std::uint64_t next_ = 1;
  std::uint64_t filled_ = 0;  // bytes of the present stretch
  bool taking_ = false;       // it gives way
  bool took_ = false;         // since the beginning
};

} // namespace holdfast::store
