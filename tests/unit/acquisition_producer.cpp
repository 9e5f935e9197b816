#include "services/acquisition/producer.hpp"

#include <catch2/catch.hpp>

using namespace holdfast;
using acquisition::producer;
using namespace std::chrono_literals;

namespace {

struct session {
  producer p{10 * (100 + producer::beside)};
  producer::clock::time_point now{1h};

  /// What it does, told as "hello 1 2 3": the greeting and the numbers sent.
  static std::string tell(const producer::actions& a) {
    std::string out = a.hello ? "hello" : "";
    for (auto& b : a.send)
      out += (out.empty() ? "" : " ") + std::to_string(b.seq);
    return out;
  }
  std::string reachable(bool yes = true) { return tell(p.reachable(yes, now)); }
  std::string welcomed(std::uint64_t last, std::uint64_t total = 0, std::uint64_t window = 1000) {
    return tell(p.welcomed(last, total, window, now));
  }
  std::string acknowledged(std::uint64_t last, std::uint64_t window = 1000) {
    return tell(p.acknowledged(last, window, now));
  }
  std::string refused() { return tell(p.refused(now)); }
  std::string push(std::uint32_t records = 10, std::size_t bytes = 100) {
    return tell(p.push(records, 0, blob(std::string(bytes, 'x')), now));
  }
  std::string tick(std::chrono::milliseconds later = 0ms) {
    now += later;
    return tell(p.tick(now));
  }
};

} // namespace

TEST_CASE("a producer says hello before it sends", "[acquisition]") {
  session s;
  CHECK(s.push() == "");
  CHECK(s.tick(1h) == "");  // nobody there
  CHECK(s.reachable() == "hello");
  CHECK_FALSE(s.p.open());
  CHECK(s.tick(24ms) == "");
  CHECK(s.tick(1ms) == "hello");
  CHECK(s.acknowledged(1) == "");  // of another life
  CHECK(s.welcomed(0) == "1");
  CHECK(s.p.open());
  CHECK(s.push() == "2");
  CHECK_FALSE(s.p.settled());
  CHECK(s.acknowledged(2) == "");
  CHECK(s.p.settled());
}

TEST_CASE("a store that was stopped answers every hello; the producer takes one answer", "[acquisition]") {
  session s;
  s.push();
  s.push();
  s.reachable();
  int hellos = 1;
  for (int ms = 0; ms < 10'000; ++ms)
    hellos += s.tick(1ms) == "hello" ? 1 : 0;
  CHECK(hellos > 100);
  CHECK(hellos < 150);  // 400 without backing off
  CHECK(s.p.hello_wait() > 200ms);
  CHECK(s.welcomed(0) == "1 2");
  for (int n = 1; n < hellos; ++n)
    CHECK(s.welcomed(0) == "");
  CHECK(s.push() == "3");
  CHECK(s.acknowledged(3) == "");
  CHECK(s.p.settled());
  CHECK(s.refused() == "hello");
  CHECK(s.p.hello_wait() == 25ms);
}

TEST_CASE("a producer sends what the window allows and goes on with each acknowledgement", "[acquisition]") {
  session s;
  s.reachable();
  CHECK(s.welcomed(7, 0, 250) == "");
  CHECK(s.push() == "8");
  CHECK(s.push() == "9");
  CHECK(s.push() == "");
  CHECK(s.push(1, 20) == "");  // it would fit, but not in its turn
  CHECK(s.acknowledged(8, 250) == "10 11");
  CHECK(s.acknowledged(8, 250) == "");
  CHECK(s.acknowledged(11, 250) == "");
  CHECK(s.p.settled());
  CHECK(s.push(1, 900) == "12");  // alone, whatever its size
}

TEST_CASE("a producer holds what it keeps below its own limit", "[acquisition]") {
  session s;
  for (int n = 0; n < 10; ++n) {
    CHECK(s.p.room());
    s.push(5);
  }
  CHECK_FALSE(s.p.room());
  CHECK(s.p.kept_bytes() == 10 * (100 + producer::beside));
  CHECK(s.p.kept_records() == 50);
  s.reachable();
  s.welcomed(0);
  s.acknowledged(3);
  CHECK(s.p.room());
  CHECK(s.p.kept_records() == 35);
  CHECK(s.p.total_committed() == 15);
}

TEST_CASE("batches of few bytes count for what they take beside these", "[acquisition]") {
  session s;
  for (int n = 0; n < 12 && s.p.room(); ++n)
    s.push(1, 1);
  CHECK_FALSE(s.p.room());
  s.reachable();
  s.welcomed(0);
  s.acknowledged(12);
  CHECK(s.p.kept_bytes() == 0);
}

TEST_CASE("a refusal starts a producer over from what the store has, once per burst", "[acquisition]") {
  session s;
  s.reachable();
  s.welcomed(0);
  for (int n = 0; n < 4; ++n)
    s.push();
  CHECK(s.refused() == "hello");
  CHECK(s.refused() == "");
  CHECK(s.refused() == "");
  CHECK(s.push() == "");
  CHECK(s.acknowledged(2) == "");  // said before the refusal: the welcome says more
  CHECK(s.welcomed(2) == "3 4 5");
}

TEST_CASE("a store that restarted is offered what it had not committed", "[acquisition]") {
  session s;
  s.reachable();
  s.welcomed(0);
  for (int n = 0; n < 3; ++n)
    s.push();
  s.acknowledged(1);
  CHECK(s.reachable(false) == "");
  CHECK(s.push() == "");
  CHECK(s.tick(1min) == "");
  CHECK(s.reachable() == "hello");
  CHECK(s.welcomed(2, 20) == "3 4");
  CHECK(s.p.total_committed() == 20);
}

TEST_CASE("a new store gets everything that is kept, numbered from its own first", "[acquisition]") {
  session s;
  s.reachable();
  s.welcomed(100, 5000, 250);
  CHECK(s.push() == "101");
  CHECK(s.push() == "102");
  s.push();
  s.push();
  CHECK(s.acknowledged(101, 250) == "103");
  s.reachable(false);
  s.reachable();
  CHECK(s.welcomed(0, 0, 250) == "1 2");
  CHECK(s.acknowledged(1, 250) == "3");
  CHECK(s.acknowledged(3, 250) == "");
  CHECK(s.p.settled());
  CHECK(s.p.total_committed() == 5040);
}

TEST_CASE("a full store is sent nothing; when it has room again, what it dropped goes again", "[acquisition]") {
  session s;
  s.reachable();
  s.welcomed(0);
  CHECK(s.push() == "1");
  CHECK(s.push() == "2");
  CHECK(s.acknowledged(1, 0) == "");
  CHECK(s.push() == "");
  CHECK(s.acknowledged(1, 1000) == "2 3");
  CHECK(s.acknowledged(3, 0) == "");
  CHECK(s.push() == "");
  CHECK(s.acknowledged(3, 1000) == "4");
}

TEST_CASE("a store that is full from the start is sent nothing until it has room", "[acquisition]") {
  session s;
  s.push();
  s.reachable();
  CHECK(s.welcomed(0, 0, 0) == "");
  CHECK(s.push() == "");
  CHECK(s.acknowledged(0, 1000) == "1 2");
}

TEST_CASE("a store that is silent about what it got is asked", "[acquisition]") {
  session s;
  s.reachable();
  s.welcomed(0);
  CHECK(s.tick(1h) == "");  // nothing is on its way
  s.push();
  CHECK(s.tick(2s) == "");
  CHECK(s.tick(1ms) == "hello");
  CHECK(s.tick(10ms) == "");
  CHECK(s.tick(15ms) == "hello");  // it did not answer that either
  CHECK(s.welcomed(0) == "1");
  s.now += 1900ms;
  s.acknowledged(0);  // a word
  CHECK(s.tick(1900ms) == "");
  CHECK(s.tick(101ms) == "hello");
}

TEST_CASE("a store that is full is asked now and then, for its word may be lost", "[acquisition]") {
  session s;
  s.reachable();
  s.push();
  s.welcomed(0, 0, 0);
  CHECK(s.tick(2s) == "");
  CHECK(s.tick(1ms) == "hello");
  CHECK(s.welcomed(0) == "1");
}

TEST_CASE("a position counts records over all lives of a producer", "[acquisition]") {
  session s;
  s.push(10);
  s.reachable();
  auto a = s.p.welcomed(41, 410, 1000, s.now);
  REQUIRE(a.send.size() == 1);
  CHECK(a.send[0].seq == 42);
  CHECK(a.send[0].total == 420);
  CHECK(a.send[0].records == 10);
  CHECK(s.p.total_committed() == 410);
  a = s.p.push(5, 77, blob(std::string("x")), s.now);
  CHECK(a.send[0].total == 425);
  CHECK(a.send[0].crc == 77);
  s.acknowledged(42);
  CHECK(s.p.total_committed() == 420);
  s.refused();
  CHECK(s.welcomed(42, 420) == "43");
  CHECK(s.p.total_committed() == 420);
  s.acknowledged(43);
  CHECK(s.p.total_committed() == 425);
  s.reachable(false);
  s.reachable();
  s.welcomed(43, 425);
  CHECK(s.p.total_committed() == 425);
}

TEST_CASE("a batch the store will never take is dropped and its records are told", "[acquisition]") {
  session s;
  s.reachable();
  s.welcomed(0);
  s.push(1);
  s.push(7, 500);
  s.push(2);
  CHECK(s.p.rejected(9) == 0);
  CHECK(s.p.rejected(2) == 7);
  CHECK(s.p.rejected(2) == 0);
  CHECK(s.p.kept_bytes() == 200 + 2 * producer::beside);
  CHECK(s.refused() == "hello");
  CHECK(s.welcomed(1) == "2");  // what was 3
  CHECK(s.push(3) == "3");
  CHECK(s.acknowledged(3) == "");
  CHECK(s.p.settled());
}
