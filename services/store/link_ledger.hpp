#pragma once

#include "common/link/byte_budget.hpp"
#include "holdfast/v1/storage.pb.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace holdfast::store {

/// What is kept of a link over restarts: what an operator asked of it, and what it has used of its byte budget, counted
/// from its uplink's own counter. Pure; time is passed in.
class link_ledger {
public:
  static constexpr std::chrono::seconds write_interval{60};
  static constexpr int most_stuck = 3;            ///< counts, about one a second

  link_ledger(link::budget_settings settings, const v1::LinkRow& row)
      : metered_(settings.day > 0 || settings.month > 0),
        budget_(settings, {row.budget_day(), row.budget_counted(), row.used_day(), row.used_month()}),
        session_(row.session()), counted_(row.counted()), drained_(row.drained()), pinned_(row.pinned()),
        level_(budget_.level()), day_(used().counted) {}

  /// The uplink's life `session` has moved so many bytes so far; of what is `coming` it need not know all.
  void count(std::uint64_t session, std::uint64_t wire_bytes, std::uint64_t coming, link::wall_time now) {
    if (session_ != session || wire_bytes < counted_)
      counted_ = 0;
    session_ = session;
    budget_.spend(wire_bytes - counted_, now);
    moved_ = moved_ || wire_bytes != counted_;
    counted_ = wire_bytes;
    stuck_ = refused_ && coming >= coming_then_ ? stuck_ + 1 : 0;
    refused_ = false;
    coming_ = coming_then_ = coming;
    judge();
  }
  void advance(link::wall_time now) {
    budget_.advance(now);
    judge();
  }
  /// May a class with this rule send so many bytes now? They are coming then. If not, it waits for the next count: what
  /// is coming may be counted already. Where nothing is, or what is does not become less, there is no more room, and
  /// the level is from now on what ends it: or it would come and go with each count.
  bool charge(link::budget_rule rule, std::uint64_t bytes) {
    if (!metered_ || budget_.has_room(rule, coming_ + bytes)) {
      coming_ += bytes;
      return true;
    }
    refused_ = true;
    if (coming_ == 0 || stuck_ >= most_stuck) {
      too_large_ = bytes;
      reach(link::byte_budget::end_of(rule), level_);
    }
    return false;
  }
  void drain(bool yes) { set(drained_, yes); }
  void pin(bool yes) { set(pinned_, yes); }

  bool metered() const noexcept { return metered_; }
  bool drained() const noexcept { return drained_; }
  bool pinned() const noexcept { return pinned_; }
  link::budget_level level() const { return level_; }
  /// Bytes of a batch for which there was no more room today; 0: there was for each.
  std::uint64_t too_large() const noexcept { return too_large_; }
  const link::budget_state& used() const noexcept { return budget_.state(); }

  /// The row, when it is to be written: a flag or a level at once, bytes of a metered link once a minute.
  std::optional<v1::LinkRow> due(link::time_point now) {
    if (!urgent_ && !(metered_ && moved_ && now - written_ >= write_interval))
      return std::nullopt;
    urgent_ = moved_ = false;
    written_ = now;
    return row();
  }
  v1::LinkRow row() const {
    v1::LinkRow r;
    r.set_drained(drained_);
    r.set_pinned(pinned_);
    r.set_budget_day(used().day);
    r.set_budget_counted(used().counted);
    r.set_used_day(used().used_day);
    r.set_used_month(used().used_month);
    r.set_session(session_);
    r.set_counted(counted_);
    return r;
  }

private:
  void judge() {
    const bool same_day = std::exchange(day_, used().counted) == used().counted;
    too_large_ = same_day ? too_large_ : 0;
    reach(budget_.level(), same_day ? level_ : link::budget_level::ample);
  }
  void reach(link::budget_level level, link::budget_level at_least) {
    const auto before = std::exchange(level_, std::max(level, at_least));
    urgent_ = urgent_ || before != level_;
  }
  void set(bool& flag, bool yes) {
    urgent_ = urgent_ || flag != yes;
    flag = yes;
  }

  bool metered_;
  link::byte_budget budget_;
  std::uint64_t session_;
  std::uint64_t counted_;
  std::uint64_t coming_ = 0;       // on the wire soon, or already: counted or not
  std::uint64_t coming_then_ = 0;  // at the last count
  bool refused_ = false;           // since then
  int stuck_ = 0;                  // counts in a row with a refusal before, and with no less coming
  std::uint64_t too_large_ = 0;
  bool drained_;
  bool pinned_;
  link::budget_level level_;
  std::int64_t day_;  // for which it was reached: it stays so until the next one
  bool moved_ = false;
  bool urgent_ = false;
  link::time_point written_{};
};

} // namespace holdfast::store
