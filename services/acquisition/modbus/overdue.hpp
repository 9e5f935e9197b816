#pragma once

// The requests on a serial line whose answers may still come. Pure: time is passed in.
//
// Modbus RTU numbers nothing: an answer says unit, function and byte count, not which registers it has. A late one to
// registers 0 and 1 is, bit for bit, one to registers 300 and 301 of the same unit. So what has been asked and not been
// answered keeps away from the unit all that the same answer would fit, until it can be counted as lost. The same
// request again may be made at any time (a late answer to it is right), so may those to other units and of another
// shape.
//
// Nothing is taken off the account when an answer does come: it may be to the first request or to its repetition, a
// repeated frame or noise. Time alone clears it, so a frame too many or too few on the line changes nothing.

#include "services/acquisition/modbus/plan.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace holdfast::acquisition::modbus {

/// How long after the end of its timeout an answer may still come. No limit is sound: what comes later than this, five
/// timeouts in all, can still be believed for another register. No device in use is so slow against its timeout; what
/// else delays answers, USB adapters and ways through a network, does not become quicker with a shorter one: hence the
/// second. A longer limit has a price: for so long that part of the unit stands still after an answer that was lost.
constexpr std::chrono::milliseconds late_limit(std::chrono::milliseconds timeout) {
  return std::max(4 * timeout, std::chrono::milliseconds(1000));
}

/// Whether an answer to one would fit the other, both to the same unit.
bool alike(const request_group& a, const request_group& b);
/// Whether an answer to one is right for the other.
bool same(const request_group& a, const request_group& b);

class overdue {
public:
  using time_point = std::chrono::steady_clock::time_point;

  struct record {
    unsigned unit;
    request_group asked;
    time_point until;
  };

  /// An answer to this may come until then. What is over by `now` is forgotten.
  void expect(unsigned unit, const request_group& asked, time_point until, time_point now);
  /// The one whose answer would fit this request: at most one, if nothing is asked against it. It may be over.
  const record* like(unsigned unit, const request_group& wanted) const;
  /// Whether an exception, which has no byte count, could be the answer to an earlier request for something else.
  bool doubtful(unsigned unit, const request_group& asked, time_point now) const;

private:
  std::vector<record> records_;
};

} // namespace holdfast::acquisition::modbus
