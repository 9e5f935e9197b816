#pragma once

#include "services/store/dispatch_plan.hpp"
#include "storage_support.hpp"

#include <map>
#include <string>
#include <vector>

namespace dispatch_test {

using namespace holdfast;
using store::dispatch_plan;
using orders = std::vector<std::string>;

inline constexpr dispatch_plan::clock::time_point start{};  // where time does not matter

inline const std::vector<dispatch_plan::record_class> classes{{"bulk", 200}, {"critical", 10}, {"telemetry", 100}};

inline const std::map<dispatch_plan::kind, std::string> marks{{dispatch_plan::kind::live, ""},
                                                              {dispatch_plan::kind::backlog, " h"},
                                                              {dispatch_plan::kind::check, " check"},
                                                              {dispatch_plan::kind::gap, " gap"}};

/// Carries out the next order with a batch of `count` records and `bytes`; tells it as "link class first[ h]".
inline std::string step(dispatch_plan& p, std::uint64_t count = 10, std::uint64_t bytes = 100) {
  const auto o = p.next();
  if (!o)
    return "nothing";
  p.leased(*o, {o->todo.first, o->todo.first + count - 1}, bytes, start);
  return o->link + " " + o->record_class + " " + std::to_string(o->todo.first) + marks.at(o->how);
}

/// All orders that there are now.
inline orders steps(dispatch_plan& p) {
  orders out;
  for (auto s = step(p); s != "nothing"; s = step(p))
    out.push_back(s);
  return out;
}

} // namespace dispatch_test
