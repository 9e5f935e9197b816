#include "services/store/class_policy.hpp"
#include "storage_support.hpp"

using namespace holdfast;
using namespace holdfast::store;
using config::overflow_rule;

using victims = std::vector<class_policy::victim>;

namespace holdfast::store {
std::ostream& operator<<(std::ostream& out, const class_policy::victim& v) {
  return out << v.record_class << ' ' << v.bytes << (v.for_store ? " for the store" : "");
}
} // namespace holdfast::store

namespace {

config::record_class make(const std::string& name, unsigned priority, overflow_rule how = overflow_rule::reject,
                          std::uint64_t quota = 0) {
  config::record_class c;
  c.name = name;
  c.priority = priority;
  c.overflow = how;
  c.quota = {quota};
  return c;
}

const auto reject = overflow_rule::reject;
const auto drop = overflow_rule::drop_oldest;

} // namespace

TEST_CASE("one class alone has the whole store, closes there and opens a twentieth below", "[store]") {
  class_policy p({make("telemetry", 100)}, 1000);
  p.measured({{"telemetry", 999}}, 999);
  CHECK_FALSE(p.waits("telemetry"));
  p.measured({{"telemetry", 1000}}, 1000);
  CHECK(p.waits("telemetry"));
  p.measured({{"telemetry", 951}}, 951);
  CHECK(p.waits("telemetry"));
  p.measured({{"telemetry", 950}}, 950);
  CHECK_FALSE(p.waits("telemetry"));
}

TEST_CASE("the last tenth of the store is for the most urgent class", "[store]") {
  class_policy p({make("bulk", 200), make("critical", 10), make("telemetry", 100)}, 1000);
  p.measured({{"bulk", 500}, {"telemetry", 400}}, 900);
  CHECK(p.waits("bulk"));
  CHECK(p.waits("telemetry"));
  CHECK_FALSE(p.waits("critical"));
  p.measured({{"bulk", 500}, {"telemetry", 400}, {"critical", 100}}, 1000);
  CHECK(p.waits("critical"));
  p.measured({{"bulk", 455}, {"telemetry", 400}}, 855);
  CHECK_FALSE(p.waits("bulk"));
  CHECK_FALSE(p.waits("critical"));
}

TEST_CASE("a class at its own quota waits alone", "[store]") {
  class_policy p({make("critical", 10), make("bulk", 200, reject, 300)}, 1000);
  p.measured({{"bulk", 300}}, 300);
  CHECK(p.waits("bulk"));
  CHECK_FALSE(p.waits("critical"));
  CHECK(p.give_way({{"bulk", 300}}, 300, {{"critical", 50}}).empty());
}

TEST_CASE("a class that drops makes room for itself at its own quota", "[store]") {
  class_policy p({make("critical", 10), make("bulk", 200, drop, 300)}, 1000);
  CHECK(p.give_way({{"bulk", 290}}, 290, {{"bulk", 10}}).empty());
  CHECK(p.give_way({{"bulk", 290}}, 290, {{"bulk", 25}}) == victims{{"bulk", 15}});
  p.measured({{"bulk", 300}}, 300);
  CHECK_FALSE(p.waits("bulk"));
}

TEST_CASE("a class that drops never waits for its own quota, however much comes at once", "[store]") {
  class_policy p({make("critical", 10), make("bulk", 200, drop, 300)}, 10'000);
  CHECK(p.give_way({{"bulk", 250}}, 250, {{"bulk", 400}}) == victims{{"bulk", 250}});
  p.measured({{"bulk", 400}}, 400);
  CHECK_FALSE(p.waits("bulk"));
  p.exhausted("bulk");
  CHECK(p.give_way({{"bulk", 400}}, 9000, {{"bulk", 100}}) == victims{{"bulk", 200}});
}

TEST_CASE("at the store's limit the least urgent class that drops gives way first", "[store]") {
  class_policy p({make("critical", 10), make("telemetry", 100, drop), make("bulk", 200, overflow_rule::thin)}, 1000);
  const class_policy::sizes used{{"critical", 100}, {"telemetry", 770}, {"bulk", 20}};
  CHECK(p.give_way(used, 890, {{"telemetry", 10}}).empty());
  CHECK(p.give_way(used, 890, {{"telemetry", 40}}) == victims{{"bulk", 20, true}, {"telemetry", 10, true}});
  CHECK(p.give_way(used, 890, {{"bulk", 15}}) == victims{{"bulk", 5, true}});
  CHECK(p.give_way(used, 890, {{"critical", 110}}).empty());
  CHECK(p.give_way(used, 890, {{"critical", 130}}) == victims{{"bulk", 20, true}});
}

TEST_CASE("nobody gives way to a less urgent class, which waits", "[store]") {
  class_policy p({make("critical", 10, drop), make("bulk", 200)}, 1000);
  const class_policy::sizes used{{"critical", 600}, {"bulk", 300}};
  CHECK(p.give_way(used, 900, {{"bulk", 50}}).empty());
  p.measured(used, 900);
  CHECK(p.waits("bulk"));
  CHECK_FALSE(p.waits("critical"));
  CHECK(p.give_way(used, 990, {{"critical", 30}}) == victims{{"critical", 20, true}});
}

TEST_CASE("who has nothing left to give waits, until there is room again", "[store]") {
  class_policy p({make("telemetry", 100), make("bulk", 200, drop)}, 1000);
  const class_policy::sizes used{{"telemetry", 890}, {"bulk", 10}};
  p.measured(used, 900);
  CHECK_FALSE(p.waits("bulk"));
  p.exhausted("bulk");
  CHECK(p.give_way(used, 900, {{"bulk", 50}}).empty());
  p.measured(used, 900);
  CHECK(p.waits("bulk"));
  p.measured({{"telemetry", 840}}, 840);
  CHECK_FALSE(p.waits("bulk"));
  CHECK(p.give_way({{"bulk", 50}}, 900, {{"bulk", 50}}) == victims{{"bulk", 50, true}});
}

TEST_CASE("on a full disk the least urgent classes give way where they drop", "[store]") {
  using names = std::vector<std::string>;
  CHECK(class_policy({make("critical", 10, drop), make("bulk", 200)}, 1000).give_way_on_disk() == names{});
  class_policy p({make("critical", 10), make("bulk", 200, drop), make("files", 200)}, 1000);
  CHECK(p.give_way_on_disk() == names{"bulk"});
  p.exhausted("bulk");
  p.measured({}, 0, true);
  CHECK(p.give_way_on_disk() == names{});
  p.measured({}, 0);
  CHECK(p.give_way_on_disk() == names{"bulk"});
}

// -- the order within a class -------------------------------------------------------------------------------------------

namespace {

/// Batches of 10 records; what gives way until `most` did.
std::vector<std::uint64_t> gone(give_way_order& order, std::map<std::uint64_t, std::uint64_t>& batches, unsigned most) {
  std::vector<std::uint64_t> out;
  while (out.size() < most && !batches.empty()) {
    const auto b = batches.lower_bound(order.next());
    if (b == batches.end()) {
      order.end();
    } else if (order.takes({b->first, b->first + 9}, b->second)) {
      out.push_back(b->first);
      batches.erase(b);
    }
  }
  return out;
}

std::map<std::uint64_t, std::uint64_t> row_of(unsigned batches, std::uint64_t bytes) {
  std::map<std::uint64_t, std::uint64_t> out;
  for (std::uint64_t i = 0; i < batches; ++i)
    out[1 + 10 * i] = bytes;
  return out;
}

using seqs = std::vector<std::uint64_t>;

} // namespace

TEST_CASE("drop-oldest takes each batch from the oldest on", "[store]") {
  give_way_order order(drop);
  auto batches = row_of(5, 100);
  CHECK(gone(order, batches, 2) == seqs{1, 11});
  CHECK(gone(order, batches, 9) == seqs{21, 31, 41});
}

TEST_CASE("thin takes every second batch, then every second of what is left", "[store]") {
  give_way_order order(overflow_rule::thin);
  auto batches = row_of(8, give_way_order::stretch);
  CHECK(gone(order, batches, 3) == seqs{11, 31, 51});
  batches[81] = give_way_order::stretch;  // stored meanwhile
  CHECK(gone(order, batches, 1) == seqs{71});
  CHECK(gone(order, batches, 2) == seqs{21, 61});  // of 1 21 41 61 81
  CHECK(gone(order, batches, 9) == seqs{41, 81, 1});
}

TEST_CASE("small batches are thinned in stretches that free whole pages", "[store]") {
  give_way_order order(overflow_rule::thin);
  auto batches = row_of(8, give_way_order::stretch / 2);
  CHECK(gone(order, batches, 4) == seqs{21, 31, 61, 71});
}
