#pragma once

#include "common/config/config.hpp"
#include "holdfast/v1/storage.pb.h"

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace holdfast::store {

/// Up to which number the time to live of each class is over. Pure: time (CLOCK_BOOTTIME) is passed in.
///
/// Age is measured on a clock of the store's own, which no step of the system's clock moves: it runs while the gateway
/// runs (suspend included), is kept in the file, and stands while the gateway is off. A record never expires early, and
/// at most a 64th of the ttl late: a mark stands for all that was stored within that time. What was there before the
/// class got a ttl counts from the first start with it.
class expiry {
public:
  static constexpr int marks_per_ttl = 64;

  expiry() = default;
  /// `row` as the file has it, written in the boot it names. `heads`: highest number of each class.
  expiry(const std::vector<config::record_class>& classes, const v1::ExpiryRow& row, const std::string& boot_id,
         std::int64_t boottime, const std::map<std::string, std::uint64_t>& heads);

  bool unused() const noexcept { return classes_.empty(); }
  /// The class's highest number now. False: the class has no ttl.
  bool stored(const std::string& record_class, std::uint64_t head, std::int64_t boottime);
  /// Whose time is over, and up to which number.
  std::map<std::string, std::uint64_t> due(std::int64_t boottime) const;
  /// Nothing of the class is left up to there.
  void done(const std::string& record_class, std::uint64_t last);
  v1::ExpiryRow row(std::int64_t boottime) const;

private:
  struct mark {
    std::uint64_t last;
    std::int64_t begin;   // when its first record was stored
    std::int64_t newest;  // and its last
  };
  struct lane {
    std::int64_t ttl;
    std::deque<mark> marks;
  };
  std::int64_t now(std::int64_t boottime) const { return base_ + boottime; }

  std::map<std::string, lane> classes_;
  std::string boot_id_;
  std::int64_t base_ = 0;
};

} // namespace holdfast::store
