#include "tests/simulation/faults.hpp"

namespace holdfast::simulation {

using namespace std::chrono_literals;

namespace {

constexpr const char* names[] = {"kill", "kill in commit", "hang", "power cut", "cut", "reset", "slow link",
                                 "store cannot write", "store's disk slow", "archive cannot write",
                                 "archive's disk slow", "kill collector", "kill collector in commit", "drain",
                                 "bus breaks", "lose archive", "bus lags"};
// How often each comes, relative to the others.
constexpr unsigned weights[] = {6, 6, 2, 1, 8, 5, 3, 2, 4, 2, 2, 2, 3, 1, 4, 1, 3};

} // namespace

const char* fault::name() const { return names[static_cast<int>(what)]; }

std::vector<fault> draw_faults(dice& d, duration length, std::size_t links, std::size_t collectors) {
  using type = fault::type;
  std::vector<fault> out;
  unsigned sum = 0;
  for (auto x : weights)
    sum += x;
  const auto pace = d.between(300ms, 4s);
  for (auto at = d.between(500ms, 2s); at < length; at += d.between(1ms, pace)) {
    auto pick = d.below(sum);
    std::size_t what = 0;
    for (; pick >= weights[what]; ++what)
      pick -= weights[what];
    fault f{static_cast<type>(what), at};
    switch (f.what) {
      case type::kill:
      case type::hang:
      case type::bus_flap:
      case type::bus_lags: f.which = d.below(links + 2); break;
      case type::archive_fails:
      case type::archive_slow:
      case type::archive_kill:
      case type::archive_lost:
      case type::archive_kill_in_commit: f.which = d.below(collectors); break;
      default: f.which = d.below(links);
    }
    f.direction = static_cast<int>(d.below(3));
    f.length = d.yes(0.7) ? d.between(5ms, 2s) : d.between(1s, 15s);
    if (f.what == type::hang && d.yes(0.5))
      f.length = for_ever;
    out.push_back(f);
  }
  return out;
}

} // namespace holdfast::simulation
