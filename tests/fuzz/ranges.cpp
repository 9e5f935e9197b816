// Numbers as a peer gives them: what the collector has, takes and gives back, beside a plain set; near 1 and near the
// last number there is.

#include "services/collector/inbox.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <bitset>

using namespace holdfast;
using namespace holdfast::fuzz;
using verdict = collector::inbox::verdict;

namespace {

constexpr unsigned numbers = 64;
using plain = std::bitset<numbers>;

struct range {
  seq_range real;
  plain set;
};

range draw(input& in, std::uint64_t base) {
  const auto first = in.number(numbers);
  const auto last = std::min(first + in.number(numbers), numbers - 1);
  range r{{base + first, base + last}, {}};
  for (auto n = first; n <= last; ++n)
    r.set.set(n);
  return r;
}

plain plain_of(const std::vector<seq_range>& ranges, std::uint64_t base) {
  plain out;
  std::uint64_t before = 0;
  for (auto& r : ranges) {
    claim(r.first <= r.last && (out.none() || r.first > before), "ranges are in order and apart");
    before = r.last;
    for (auto n = r.first - base; n <= r.last - base; ++n)
      out.set(n);
  }
  return out;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  const std::uint64_t base = in.coin() ? UINT64_MAX - numbers + 1 : 1;
  const collector::origin o{"plant", 1, "telemetry"};
  collector::inbox inbox;
  plain held;
  range_set set;  // into which all goes, there or not
  plain in_set;
  for (unsigned i = 0; i < 100 && !in.empty(); ++i) {
    const auto what = in.number(3);
    const auto r = draw(in, base);
    const auto expected = (held & r.set).none() ? verdict::fresh : (held & r.set) == r.set ? verdict::duplicate
                                                                                           : verdict::overlap;
    claim(plain_of(inbox.missing(o, r.real), base) == (r.set & ~held), "what is missing");
    claim(set.contains(r.real) == ((in_set & r.set) == r.set) && set.touches(r.real) == (in_set & r.set).any(),
          "what is there");
    claim(plain_of(set.inside(r.real), base) == (in_set & r.set), "what of it is there");
    if (what == 0) {
      claim(inbox.look(o, r.real) == expected && inbox.take(o, r.real) == expected, "fresh, duplicate or overlap");
      if (expected == verdict::fresh)
        held |= r.set;
    } else if (what == 1) {
      set.insert(r.real);
      in_set |= r.set;
    } else {
      if (expected == verdict::duplicate) {
        inbox.give_back(o, r.real);
        held &= ~r.set;
      }
      set.erase(r.real);
      in_set &= ~r.set;
    }
    claim(plain_of(inbox.ranges(o), base) == held && plain_of(set.ranges(), base) == in_set
            && set.count() == in_set.count(), "what is held");
  }
  return 0;
}
