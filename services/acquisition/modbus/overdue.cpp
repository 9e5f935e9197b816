#include "services/acquisition/modbus/overdue.hpp"

#include <algorithm>

namespace holdfast::acquisition::modbus {

bool alike(const request_group& a, const request_group& b) {
  return a.table == b.table && answer_bytes(a) == answer_bytes(b);
}

bool same(const request_group& a, const request_group& b) {
  return a.table == b.table && a.address == b.address && a.count == b.count;
}

void overdue::expect(unsigned unit, const request_group& asked, time_point until, time_point now) {
  std::erase_if(records_, [&](auto& r) { return r.until <= now; });
  for (auto& r : records_)
    if (r.unit == unit && same(r.asked, asked)) {
      r.until = std::max(r.until, until); // two devices may be one unit, with timeouts of their own
      return;
    }
  records_.push_back({unit, asked, until});
}

const overdue::record* overdue::like(unsigned unit, const request_group& wanted) const {
  const auto found = std::find_if(records_.begin(), records_.end(),
                                  [&](auto& r) { return r.unit == unit && alike(r.asked, wanted); });
  return found == records_.end() ? nullptr : &*found;
}

bool overdue::doubtful(unsigned unit, const request_group& asked, time_point now) const {
  return std::any_of(records_.begin(), records_.end(), [&](auto& r) {
    return r.until > now && r.unit == unit && r.asked.table == asked.table && !same(r.asked, asked);
  });
}

} // namespace holdfast::acquisition::modbus
