#pragma once

#include "holdfast/v1/record.pb.h"
#include "services/store/batch_file.hpp"
#include "services/store/dispatch_plan.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace holdfast::store {

/// What an order of the plan comes to, once it is known what the file has there.
struct dispatch_step {
  enum class act {
    send,  ///< what was found, or the question whether the destination has the same
    gap,   ///< these will never come
    skip,  ///< a copy of what is no more: the other link sent what there was, or asks for it
  };
  act what;
  seq_range seqs{};
  std::uint32_t reason = 0;  ///< of the gap
  bool damaged = false;      ///< what lies there cannot be read
};

/// A lost range is told as it is; for all else the file is asked.
inline bool needs_batch(const dispatch_plan::order& o) { return o.how != dispatch_plan::kind::gap; }

/// `found`: what begins at the order's first number, or next behind it. Pure. A comparison that has nothing to compare
/// with is a gap too: a destination that has the numbers keeps what it has, and one that has them under another epoch
/// alone would wait for them for ever under this one.
inline dispatch_step step_of(const dispatch_plan::order& o, const std::optional<batch>& found) {
  using act = dispatch_step::act;
  const auto from = o.todo.first;
  const auto without = [&](std::uint64_t last, std::uint32_t reason, bool damaged = false) -> dispatch_step {
    return {act::gap, {from, std::min(last, from + (UINT32_MAX - 1))}, reason, damaged};  // a count has 32 bits
  };
  if (!needs_batch(o))
    return without(o.todo.last, v1::GAP_REASON_CONFIRMED_BEFORE);
  if (o.copy && !(found && found->seqs == o.todo && found->gap_reason == 0))
    return {act::skip};
  if (!found || found->seqs.first > from)
    return without(found ? std::min(o.todo.last, found->seqs.first - 1) : o.todo.last, v1::GAP_REASON_NOT_HELD);
  // Where even the header is unreadable its extent is a guess: never more than what is still to be sent.
  if (found->gap_reason != 0)
    return without(std::min(found->seqs.last, o.todo.last), found->gap_reason, found->unreadable);
  return {act::send, found->seqs};
}

} // namespace holdfast::store
