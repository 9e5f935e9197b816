// Late answers on a serial line, which fit other requests: a line in simulated time, where each answer knows what it
// answers, though the bus cannot see it.

#include "services/acquisition/modbus/overdue.hpp"

#include "services/acquisition/modbus/schedule.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <functional>
#include <map>

using namespace holdfast;
using namespace holdfast::acquisition::modbus;
using namespace std::chrono_literals;

namespace {

using time_point = schedule::time_point;
using std::chrono::milliseconds;

const time_point start{1h};
constexpr auto timeout = 100ms;

request_group group(std::uint16_t address, std::uint16_t count = 1,
                    config::register_table table = config::register_table::holding) {
  return {table, address, count, 1s, {0}};
}

/// One request for each of the given numbers of registers.
config::modbus_device device(unsigned unit, std::vector<unsigned> counts) {
  config::modbus_device d;
  d.unit = unit;
  d.period = 300ms;
  d.timeout = timeout;
  for (std::size_t i = 0; i != counts.size(); ++i) {
    config::modbus_point p;
    p.address = static_cast<std::uint16_t>(300 * i);
    p.type = config::register_type::string;
    p.length = counts[i] * 2;
    d.points.push_back(p);
  }
  return d;
}

/// How long the answer takes to this request, the n-th of all; nothing: it never comes.
using delay = std::function<std::optional<milliseconds>(unsigned unit, const request_group&, unsigned n)>;

/// What the line does, in order: what came before a request is thrown away; the first frame behind it ends it, and
/// one that does not fit has the request made once more.
class simulation {
public:
  simulation(std::vector<config::modbus_device> devices, delay late, bool told = true)
      : devices_(std::move(devices)), schedule_(devices_, start), late_(std::move(late)), told_(told) {}

  void run(std::chrono::seconds time) {
    for (const auto end = start + time; now_ < end;) {
      const auto task = schedule_.take(now_);
      if (!task) {
        now_ = schedule_.next_due();
        continue;
      }
      const auto unit = devices_[task->device].unit;
      bool foreign = false;
      bool got = ask(unit, *task->group, foreign);
      const bool again = std::exchange(foreign, false);
      if (again)
        got = ask(unit, *task->group, foreign);
      if (told_ && (!got || again))
        schedule_.owed(now_, late_limit(timeout));
      if (got)
        schedule_.answered();
      else
        schedule_.silent(now_, timeout);
    }
  }

  std::map<std::pair<unsigned, std::uint16_t>, unsigned> right; // by unit and address
  unsigned wrong = 0;
  unsigned requests = 0;

private:
  struct frame {
    time_point at;
    unsigned unit;
    request_group answers;
  };

  bool ask(unsigned unit, const request_group& g, bool& foreign) {
    std::erase_if(coming_, [&](auto& f) { return f.at <= now_; });
    if (const auto d = late_(unit, g, requests++))
      coming_.push_back({now_ + *d, unit, g});
    const auto first = std::min_element(coming_.begin(), coming_.end(), [](auto& a, auto& b) { return a.at < b.at; });
    if (first == coming_.end() || first->at > now_ + timeout) {
      now_ += timeout;
      return false;
    }
    const auto f = *first;
    coming_.erase(first);
    now_ = f.at;
    foreign = f.unit != unit || !alike(f.answers, g);
    if (foreign)
      now_ += 20ms; // until the line is quiet
    else if (same(f.answers, g))
      ++right[{unit, g.address}];
    else
      ++wrong;
    return !foreign;
  }

  std::vector<config::modbus_device> devices_;
  schedule schedule_;
  delay late_;
  bool told_; // the schedule, of what is overdue
  std::deque<frame> coming_;
  time_point now_ = start;
};

const std::vector<config::modbus_device> plant{device(1, {1, 1, 1}), device(2, {1, 1, 1})};

delay always(milliseconds d) {
  return [d](auto...) { return d; };
}

delay sometimes(milliseconds d, unsigned each) {
  return [d, each](unsigned, const auto&, unsigned n) { return n % each == 0 ? d : 5ms; };
}

} // namespace

TEST_CASE("modbus overdue: a late answer is not believed for another register", "[modbus]") {
  unsigned wrong_untold = 0;
  for (auto late : {150ms, 190ms, 260ms, 350ms, 490ms})
    for (const auto& answers : {always(late), sometimes(late, 4), sometimes(late, 7), sometimes(late, 30)}) {
      simulation s(plant, answers);
      s.run(60s);
      CHECK(s.wrong == 0);
      simulation untold(plant, answers, false);
      untold.run(60s);
      wrong_untold += untold.wrong;
    }
  CHECK(wrong_untold > 500); // the simulation can go wrong
}

TEST_CASE("modbus overdue: where the limit is", "[modbus]") {
  CHECK(late_limit(100ms) == 1s);
  CHECK(late_limit(500ms) == 2s);
  for (auto [late, safe] : {std::pair(1090ms, true), std::pair(1150ms, false)}) {
    unsigned wrong = 0;
    for (unsigned each : {1, 2, 3, 5, 7, 11, 30}) {
      simulation s(plant, sometimes(late, each));
      s.run(60s);
      wrong += s.wrong;
    }
    CHECK((wrong == 0) == safe);
  }
}

TEST_CASE("modbus overdue: answers in time are all taken", "[modbus]") {
  simulation s(plant, always(15ms));
  s.run(60s);
  CHECK(s.wrong == 0);
  CHECK(s.requests == 1200);
  for (auto& [at, count] : s.right)
    CHECK(count == 200);
}

TEST_CASE("modbus overdue: after one lost answer the neighbours go on when it is too late to come", "[modbus]") {
  simulation s(plant, [](unsigned, const auto&, unsigned n) { return n ? std::optional(5ms) : std::nullopt; });
  s.run(60s);
  for (auto& [at, count] : s.right)
    CHECK(count >= (at.first == 1 ? 195U : 200U));
}

TEST_CASE("modbus overdue: a dead unit does not hold up a living one", "[modbus]") {
  const auto living = [](bool told) {
    simulation s(plant, [](unsigned unit, auto...) { return unit == 1 ? std::nullopt : std::optional(5ms); }, told);
    s.run(60s);
    return s.right;
  };
  const auto told = living(true);
  CHECK(told.size() == 3);
  for (auto& [at, count] : living(false))
    CHECK(told.at(at) >= count);
}

TEST_CASE("modbus overdue: what is never answered does not push away its neighbours", "[modbus]") {
  for (unsigned dumb : {0, 300, 600}) {
    simulation s({device(1, {1, 1, 1, 2})}, [&](unsigned, const request_group& g, unsigned) {
      return g.address == dumb ? std::nullopt : std::optional(5ms);
    });
    s.run(60s);
    CHECK(s.right.size() == 3);
    for (auto& [at, count] : s.right)
      CHECK(count >= (at.second == 900 ? 140U : 40U)); // the last is of another shape
  }
}

TEST_CASE("modbus overdue: the same request again, another only when it is too late to come", "[modbus]") {
  const std::vector<config::modbus_device> devices{device(1, {1, 1})};
  schedule s(devices, start);
  CHECK(s.take(start)->group->address == 0);
  s.answered();
  CHECK(s.take(start)->group->address == 300);
  s.owed(start + 100ms, 1s);
  s.silent(start + 100ms, 100ms);
  CHECK(s.next_due() == start + 300ms);
  CHECK(s.take(start + 300ms)->group->address == 300); // the other has not waited longer
  s.answered();
  CHECK(s.next_due() == start + 1100ms); // an answer is still missing, and the other is next
  CHECK_FALSE(s.take(start + 1099ms));
  CHECK(s.take(start + 1100ms)->group->address == 0);
}

TEST_CASE("modbus overdue: shape, and what may be said of it", "[modbus]") {
  using config::register_table;
  overdue o;
  CHECK(!o.like(1, group(0)));
  o.expect(1, group(0), start + 1s, start);
  REQUIRE(o.like(1, group(300)));
  CHECK(same(o.like(1, group(300))->asked, group(0)));
  CHECK(!o.like(2, group(300)));
  CHECK(!o.like(1, group(300, 2)));
  CHECK(!o.like(1, group(300, 1, register_table::input)));
  CHECK(!same(group(0), group(0, 1, register_table::input)));
  CHECK(alike(group(0, 9, register_table::coil), group(5, 16, register_table::coil))); // 2 bytes both
  CHECK(!alike(group(0, 8, register_table::coil), group(5, 9, register_table::coil)));
  o.expect(1, group(0), start + 500ms, start); // does not shorten it
  CHECK(o.like(1, group(0))->until == start + 1s);

  CHECK(o.doubtful(1, group(300, 2), start)); // an exception has no count
  CHECK(!o.doubtful(1, group(0), start));
  CHECK(!o.doubtful(2, group(300, 2), start));
  CHECK(!o.doubtful(1, group(300, 2, register_table::input), start));
  CHECK(!o.doubtful(1, group(300, 2), start + 1s));
  o.expect(1, group(300), start + 3s, start + 1s);
  CHECK(same(o.like(1, group(0))->asked, group(300))); // what is over is forgotten
}

TEST_CASE("modbus overdue: one unit under two names", "[modbus]") {
  const std::vector<config::modbus_device> devices{device(1, {1}), device(1, {2, 1})}; // 0 as 2 registers, 300 as 1
  schedule s(devices, start);
  REQUIRE(s.take(start)->device == 0);
  s.owed(start + 100ms, 1s);
  s.silent(start + 100ms, 100ms);
  auto task = s.take(start + 100ms);
  REQUIRE(task->group->count == 2);
  CHECK(task->doubtful);
  s.answered();
  task = s.take(start + 400ms);
  REQUIRE(task->group->count == 2); // the first waits for the second's other, which would take its answer
  s.answered();
  CHECK(s.next_due() == start + 600ms);
  CHECK(s.take(start + 600ms)->group->count == 2);
  s.answered();
  task = s.take(start + 1100ms);
  REQUIRE(task->device == 0); // has made no request for longer
  s.answered();
  task = s.take(start + 1100ms);
  REQUIRE(task->device == 1);
  CHECK(task->group->address == 300);
  CHECK(!task->doubtful);
}
