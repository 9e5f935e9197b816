#include "services/uplink/heartbeat.hpp"
#include "services/uplink/order.hpp"
#include "services/uplink/reconnect.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace holdfast;
using namespace holdfast::uplink;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

const reconnect::time_point start{1h};
constexpr double most = 0.999999;

struct attempts {
  reconnect r;
  reconnect::time_point now = start;

  explicit attempts(config::reconnect settings = {}) : r(settings) {}
  /// The longest waits after each of n failed attempts, rounded up to ms.
  std::vector<long> fail(int n) {
    std::vector<long> out;
    for (int i = 0; i < n; ++i) {
      r.lost(now);
      out.push_back((r.wait(most) + 1ms).count());
    }
    return out;
  }
  enum class brings { nothing, something, no_need };
  void stand(milliseconds how_long, brings what = brings::nothing) {
    r.established(now);
    if (what != brings::no_need)
      r.sent();
    if (what == brings::something)
      r.acknowledged();
    now += how_long;
    r.lost(now);
  }
  long longest() const { return (r.wait(most) + 1ms).count(); }
};

} // namespace

TEST_CASE("attempts that fail from the start wait longer and longer up to the cap", "[uplink]") {
  attempts a({.unavailable_after = 100});
  CHECK(a.fail(7) == std::vector<long>{1000, 2000, 4000, 8000, 16000, 30000, 30000});
}

TEST_CASE("after a session that stood, a few quick attempts and then the ladder from its first step", "[uplink]") {
  attempts a({.quick_attempts = 3, .unavailable_after = 100});
  a.stand(2min);
  CHECK((a.r.wait(most) + 1ms).count() == 50);
  CHECK(a.fail(5) == std::vector<long>{50, 50, 1000, 2000, 4000});
}

TEST_CASE("waits are spread: quick ones over their upper half, the others over all", "[uplink]") {
  attempts a;
  a.stand(2min);
  CHECK(a.r.wait(0) == 25ms);
  CHECK(a.r.wait(0.5) == 37ms);
  CHECK(a.r.wait(most) < 50ms);
  a.fail(8);
  CHECK(a.r.wait(0) == 0ms);
  CHECK(a.r.wait(0.25) == 1000ms);
  CHECK(a.r.wait(most) < 4000ms);
  for (double chance = 0; chance < 1; chance += 0.01) {
    CHECK(a.r.wait(chance) >= 0ms);
    CHECK(a.r.wait(chance) < 4s);
  }
}

TEST_CASE("a session that keeps breaking goes on where the ladder was", "[uplink]") {
  attempts a;
  a.fail(3);
  a.stand(1s);
  CHECK((a.r.wait(most) + 1ms).count() == 8000);
  CHECK(a.fail(1) == std::vector<long>{16000});
  a.stand(59'999ms);
  CHECK((a.r.wait(most) + 1ms).count() == 30000);
  a.stand(60s);
  CHECK((a.r.wait(most) + 1ms).count() == 50);
}

TEST_CASE("a short first session is followed by quick attempts once", "[uplink]") {
  attempts a({.quick_attempts = 3});
  a.stand(1s);
  CHECK((a.r.wait(most) + 1ms).count() == 50);
  a.fail(1);
  a.stand(1s);
  CHECK((a.r.wait(most) + 1ms).count() == 50);  // one of the three is left
  CHECK(a.fail(2) == std::vector<long>{1000, 2000});
}

TEST_CASE("sessions that all break at once, and no attempt that fails, climb the ladder to its cap", "[uplink]") {
  attempts a({.quick_attempts = 3});
  std::vector<long> waits;
  for (int n = 0; n < 10; ++n) {
    a.stand(10ms);
    waits.push_back((a.r.wait(most) + 1ms).count());
  }
  CHECK(waits == std::vector<long>{50, 50, 50, 1000, 2000, 4000, 8000, 16000, 30000, 30000});
  CHECK_FALSE(a.r.quick());
  a.stand(60s);
  CHECK((a.r.wait(most) + 1ms).count() == 50);
}

TEST_CASE("short sessions that bring something to the other end climb no ladder", "[uplink]") {
  attempts a({.quick_attempts = 3});
  a.stand(40s);
  a.fail(4);
  for (int n = 0; n < 20; ++n) {  // a NAT that ends each session
    a.stand(40s, attempts::brings::something);
    CHECK(a.longest() == 50);
  }
  a.stand(40s);  // what an earlier one brought does not count for this one
  a.r.acknowledged();  // nor what comes behind its end
  a.stand(40s);
  CHECK(a.fail(2) == std::vector<long>{1000, 2000});
}

TEST_CASE("sessions that bring something and end within a second are a second apart", "[uplink]") {
  attempts a({.quick_attempts = 2});
  a.stand(1min, attempts::brings::something);
  a.stand(999ms, attempts::brings::something);
  CHECK(a.longest() == 50);
  for (int n = 0; n < 20; ++n) {  // a little is stored each time, and then the disk is full
    a.stand(200ms, attempts::brings::something);
    CHECK(a.longest() == 1000);
  }
  CHECK(a.fail(2) == std::vector<long>{2000, 4000});
  a.stand(200ms, attempts::brings::something);
  CHECK(a.longest() == 1000);
  a.stand(1s, attempts::brings::something);
  CHECK(a.longest() == 50);
  attempts quick({.first = 1s, .stable = 100ms});
  quick.fail(5);
  quick.stand(100ms, attempts::brings::something);
  CHECK(quick.longest() == 50);
}

TEST_CASE("a standby that is cut every minute is there between", "[uplink]") {
  attempts a({.quick_attempts = 3});
  a.fail(6);
  for (int n = 0; n < 20; ++n) {
    a.stand(40s, attempts::brings::no_need);
    CHECK(a.longest() == 50);
  }
  a.fail(6);
  const auto before = a.longest();
  a.stand(29s, attempts::brings::no_need);  // another end that welcomes and closes is called ever more rarely
  CHECK(a.longest() > before);
}

TEST_CASE("a session is in vain when it sent as the one before, and neither had anything acknowledged", "[uplink]") {
  attempts a;
  a.stand(1s, attempts::brings::no_need);
  a.r.established(a.now);
  a.r.sent();
  CHECK_FALSE(a.r.in_vain());
  a.stand(1s);
  a.fail(1);
  a.stand(1s, attempts::brings::no_need);
  a.r.established(a.now);
  CHECK_FALSE(a.r.in_vain());
  a.r.sent();
  CHECK(a.r.in_vain());
  a.r.acknowledged();
  CHECK_FALSE(a.r.in_vain());
  a.r.lost(a.now);
  a.r.established(a.now);
  a.r.sent();
  CHECK_FALSE(a.r.in_vain());
}

TEST_CASE("without quick attempts the ladder begins at once", "[uplink]") {
  attempts a({.quick_attempts = 0});
  a.stand(2min);
  CHECK((a.r.wait(most) + 1ms).count() == 1000);
  CHECK(a.fail(2) == std::vector<long>{2000, 4000});
}

TEST_CASE("a link is unavailable after so many failures in a row, and tries at the cap", "[uplink]") {
  attempts a({.quick_attempts = 6, .unavailable_after = 3});
  a.stand(2min);
  a.fail(2);
  CHECK_FALSE(a.r.unavailable());
  a.fail(1);
  CHECK(a.r.unavailable());
  CHECK(a.r.attempts() == 3);
  a.fail(3);
  CHECK((a.r.wait(most) + 1ms).count() == 30000);
  CHECK(a.r.wait(0) == 15s);  // slowly, whatever chance says
  a.stand(1s);
  CHECK_FALSE(a.r.unavailable());
  CHECK(a.r.attempts() == 0);
}

// -- orders -----------------------------------------------------------------------------------------------------------

TEST_CASE("an order that changes nothing in what is wanted starts no attempt", "[uplink]") {
  order o;
  CHECK(o.wanted());
  CHECK_FALSE(o.take(true, "connecting", start));
  CHECK_FALSE(o.take(true, "standby", start));
  CHECK(o.state() == "standby");
  CHECK_FALSE(o.take(false, "drained", start));
  CHECK_FALSE(o.take(false, "drained", start + 1s));
  CHECK_FALSE(o.wanted());
  CHECK(o.take(true, "connecting", start + 2s));
  CHECK_FALSE(o.take(true, "active", start + 3s));
}

TEST_CASE("an unwanted session ends when all was answered, or two seconds after the order", "[uplink]") {
  order o;
  CHECK_FALSE(o.over(true, start + 1h));
  o.take(false, "drained", start);
  CHECK(o.over(true, start));
  CHECK_FALSE(o.over(false, start + 1999ms));
  o.take(false, "budget spent", start + 1s);  // the same again gives no more time
  CHECK(o.over(false, start + 2s));
}

// -- heartbeat --------------------------------------------------------------------------------------------------------

TEST_CASE("a ping is due after each interval of silence", "[uplink]") {
  heartbeat h(5s, 10s);
  auto now = start;
  h.opened(now);
  CHECK_FALSE(h.ping_due(now + 4999ms));
  CHECK(h.ping_due(now += 5s) == 1U);
  CHECK_FALSE(h.ping_due(now + 4999ms));
  h.heard(now + 1s);
  CHECK_FALSE(h.ping_due(now + 5999ms));
  CHECK(h.ping_due(now + 6s) == 2U);
  h.opened(now += 10s);
  CHECK(h.ping_due(now + 5s) == 3U);
}

TEST_CASE("anything heard is a sign of life", "[uplink]") {
  heartbeat h(5s, 10s);
  h.opened(start);
  CHECK_FALSE(h.dead(start + 10s));
  CHECK(h.dead(start + 10'001ms));
  h.heard(start + 9s);
  CHECK_FALSE(h.dead(start + 19s));
  CHECK(h.dead(start + 20s));
  h.opened(start + 30s);
  CHECK_FALSE(h.dead(start + 40s));
}

TEST_CASE("a path that carries data forgives silence, three timeouts at most", "[uplink]") {
  heartbeat h(5s, 10s);
  h.opened(start);
  std::uint64_t bytes = 0;
  for (auto at = start; at <= start + 30s; at += 1s) {
    h.carried({.acknowledged = bytes += 32'000, .waiting = true}, at);
    CHECK_FALSE(h.dead(at));
  }
  h.carried({.acknowledged = bytes + 1, .waiting = true}, start + 30'001ms);
  CHECK(h.dead(start + 30'001ms));
}

TEST_CASE("what arrives beyond a hole is carried, too", "[uplink]") {
  heartbeat h(5s, 10s);
  h.opened(start);
  std::uint64_t segments = 0;
  for (auto at = start; at <= start + 30s; at += 1s) {
    h.carried({.acknowledged = 32'000, .waiting = true, .delivered = ++segments}, at);
    CHECK_FALSE(h.dead(at));
  }
}

TEST_CASE("an acknowledgement is late when the path carries nothing, or patience ends", "[uplink]") {
  heartbeat h(5s, 10s);
  h.opened(start);
  CHECK_FALSE(h.overdue(start, 30s, start + 30s));
  CHECK(h.overdue(start, 30s, start + 30'001ms));
  for (auto at = start; at <= start + 90s; at += 1s) {
    h.carried({.acknowledged = static_cast<std::uint64_t>((at - start) / 1s * 32'000), .waiting = true}, at);
    CHECK_FALSE(h.overdue(start, 30s, at));
  }
  CHECK(h.overdue(start, 30s, start + 90'001ms));
}

TEST_CASE("a path that stands still forgives nothing", "[uplink]") {
  heartbeat h(5s, 10s);
  h.opened(start);
  h.carried({.acknowledged = 32'000, .waiting = true}, start + 4s);
  for (auto at = start + 5s; at <= start + 14s; at += 1s)
    h.carried({.acknowledged = 32'000, .waiting = true}, at);
  CHECK_FALSE(h.dead(start + 14s));
  CHECK(h.dead(start + 14'001ms));
  h.heard(start + 15s);
  CHECK_FALSE(h.dead(start + 25s));
  CHECK(h.dead(start + 25'001ms));
}

TEST_CASE("a ping that arrives is no answer: a program that hangs is found in time", "[uplink]") {
  heartbeat h(5s, 10s);
  h.opened(start);
  h.heard(start + 1s);
  for (auto at = start + 1s; at <= start + 11s; at += 1s)
    h.carried({.acknowledged = static_cast<std::uint64_t>((at - start) / 5s * 20), .waiting = false}, at);
  CHECK_FALSE(h.dead(start + 11s));
  CHECK(h.dead(start + 11'001ms));
}

TEST_CASE("each connection counts its bytes anew", "[uplink]") {
  heartbeat h(5s, 10s);
  h.opened(start);
  h.carried({.acknowledged = 1'000'000, .waiting = true}, start);
  h.opened(start + 1min);
  h.carried({.acknowledged = 500, .waiting = true}, start + 1min + 9s);
  CHECK_FALSE(h.dead(start + 1min + 19s));
  CHECK(h.dead(start + 1min + 19'001ms));
}
