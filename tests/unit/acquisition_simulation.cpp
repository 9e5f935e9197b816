// The producer's half against the store's half of the ingest protocol: messages are lost, come twice, and the store
// dies between accepting and committing.

#include "services/acquisition/producer.hpp"
#include "services/store/producer_table.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <random>

using namespace holdfast;
using acquisition::producer;
using store::producer_table;
using namespace std::chrono_literals;

namespace {

struct to_store { bool hello; producer::batch b; };
struct to_producer { enum { welcome, ack, refusal } what; std::uint64_t last, total, window; };

struct world {
  std::mt19937 chance;
  producer p{4000 + 26 * producer::beside};  // 26 batches of the mean size
  producer::clock::time_point now{1h};
  std::deque<to_store> up;
  std::deque<to_producer> down;
  producer_table table;
  std::vector<producer::batch> pending;   // accepted, not committed
  std::vector<std::string> disk;          // payloads, as they were committed
  std::uint64_t disk_total = 0;
  std::vector<std::string> given;
  bool full = false;
  bool lossy = true;

  explicit world(unsigned seed) : chance(seed) { act(p.reachable(true, now)); }

  bool one_in(unsigned n) { return chance() % n == 0; }

  template <class Queue, class Message> void put(Queue& q, const Message& m) {
    if (lossy && one_in(12))
      return;
    q.push_back(m);
    if (lossy && one_in(12))
      q.push_back(m);
  }
  void act(const producer::actions& a) {
    if (a.hello)
      put(up, to_store{true, {}});
    for (auto& b : a.send)
      put(up, to_store{false, b});
  }
  std::uint64_t window() const { return full ? 0 : 1500; }
  void answer(decltype(to_producer::welcome) what) {
    auto* row = table.find("p");
    const auto last = row != nullptr ? row->committed : 0;
    put(down, to_producer{what, last, disk_total, window()});
  }
  void commit() {
    for (auto& b : pending) {
      disk.emplace_back(b.payload.view());
      disk_total = b.total;
      table.committed("p", b.seq, std::to_string(b.total));
    }
    if (!std::exchange(pending, {}).empty())
      answer(to_producer::ack);
  }
  void store_turn() {
    if (up.empty())
      return;
    const auto m = up.front();
    up.pop_front();
    if (m.hello) {
      commit();
      table.hello("p", 1, "telemetry", "peer");
      return answer(to_producer::welcome);
    }
    if (full)
      return;
    switch (table.offer("p", 1, m.b.seq)) {
      case producer_table::verdict::accept: pending.push_back(m.b); break;
      case producer_table::verdict::duplicate: answer(to_producer::ack); break;
      default: answer(to_producer::refusal);
    }
  }
  void producer_turn() {
    if (down.empty())
      return;
    const auto m = down.front();
    down.pop_front();
    if (m.what == to_producer::welcome)
      act(p.welcomed(m.last, m.total, m.window, now));
    else if (m.what == to_producer::ack)
      act(p.acknowledged(m.last, m.window, now));
    else
      act(p.refused(now));
  }
  // What was accepted and not committed is gone; the rows come back from the file.
  void store_dies() {
    pending.clear();
    up.clear();
    down.clear();
    producer_table fresh;
    if (auto* row = table.find("p"))
      fresh.load("p", {.record_class = "telemetry", .committed = row->committed, .position = row->position});
    table = std::move(fresh);
    act(p.reachable(false, now));
    act(p.reachable(true, now));
  }
  void commit_fails() {
    pending.clear();
    table.roll_back();
  }
  void set_full(bool yes) {
    commit();
    full = yes;
    if (table.find("p") != nullptr)
      answer(to_producer::ack);
  }
  void step() {
    now += std::chrono::milliseconds(chance() % 20);
    switch (chance() % 40) {
      case 0: if (one_in(3)) store_dies(); break;
      case 1: if (one_in(3)) commit_fails(); break;
      case 2: set_full(one_in(4)); break;
      case 3: case 4: case 5: commit(); break;
      case 6: case 7: act(p.tick(now)); break;
      case 8: case 9: case 10: case 11: case 12:
        if (p.room()) {
          given.push_back(std::to_string(given.size() + 1) + std::string(chance() % 300, '.'));
          act(p.push(1, 0, blob(given.back()), now));
        }
        break;
      default: one_in(2) ? store_turn() : producer_turn();
    }
  }
  void settle() {
    lossy = false;
    set_full(false);
    for (int n = 0; n < 500 && !p.settled(); ++n) {
      now += 100ms;
      act(p.tick(now));
      while (!up.empty() || !down.empty() || !pending.empty()) {
        store_turn();
        producer_turn();
        if (up.empty())
          commit();
      }
    }
  }
};

} // namespace

TEST_CASE("nothing is lost, nothing doubled and the order kept, whatever happens between producer and store",
          "[acquisition]") {
  std::size_t batches = 0;
  for (unsigned seed = 1; seed <= 3000; ++seed) {
    INFO("seed " << seed);
    world w(seed);
    for (int n = 0; n < 250; ++n)
      w.step();
    w.settle();
    REQUIRE(w.p.settled());
    REQUIRE(w.disk == w.given);
    REQUIRE(w.p.total_committed() == w.given.size());
    REQUIRE(w.disk_total == w.given.size());
    batches += w.given.size();
  }
  CHECK(batches > 30'000);
}
