#pragma once

#include "common/link/byte_budget.hpp"
#include "holdfast/v1/storage.pb.h"

#include <optional>

namespace holdfast::store {

/// What is kept of a link over restarts: what an operator asked of it, and what it has used of its byte budget, counted
/// from its uplink's own counter. Pure; time is passed in.
class link_ledger {
public:
  static constexpr std::chrono::seconds write_interval{60};

  link_ledger(link::budget_settings settings, const v1::LinkRow& row)
      : metered_(settings.day > 0 || settings.month > 0),
        budget_(settings, {row.budget_day(), row.budget_counted(), row.used_day(), row.used_month()}),
        session_(row.session()), counted_(row.counted()), drained_(row.drained()), pinned_(row.pinned()) {}

  /// The uplink's life `session` has moved so many bytes so far.
  void count(std::uint64_t session, std::uint64_t wire_bytes, link::wall_time now) {
    if (session_ != session || wire_bytes < counted_)
      counted_ = 0;
    session_ = session;
    const auto level = budget_.level();
    budget_.spend(wire_bytes - counted_, now);
    moved_ = moved_ || wire_bytes != counted_;
    counted_ = wire_bytes;
    urgent_ = urgent_ || level != budget_.level();
  }
  void advance(link::wall_time now) {
    const auto level = budget_.level();
    budget_.advance(now);
    urgent_ = urgent_ || level != budget_.level();
  }
  void drain(bool yes) { set(drained_, yes); }
  void pin(bool yes) { set(pinned_, yes); }

  bool metered() const noexcept { return metered_; }
  bool drained() const noexcept { return drained_; }
  bool pinned() const noexcept { return pinned_; }
  link::budget_level level() const { return budget_.level(); }
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
  void set(bool& flag, bool yes) {
    urgent_ = urgent_ || flag != yes;
    flag = yes;
  }

  bool metered_;
  link::byte_budget budget_;
  std::uint64_t session_;
  std::uint64_t counted_;
  bool drained_;
  bool pinned_;
  bool moved_ = false;
  bool urgent_ = false;
  link::time_point written_{};
};

} // namespace holdfast::store
