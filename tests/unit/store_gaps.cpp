// Records that give way: the gaps in their place, and that every record ends as exactly one of both.

#include "holdfast/v1/record.pb.h"
#include "services/store/class_policy.hpp"
#include "services/store/inspect.hpp"
#include "store_file_bench.hpp"

#include <random>
#include <sstream>

using namespace store_test;

namespace {

void give_up(batch_file& f, seq_range batch, std::uint32_t reason = v1::GAP_REASON_DISPLACED) {
  batch_file::update u(f);
  REQUIRE(u.give_up("telemetry", batch, reason));
  u.commit();
}

void remove(batch_file& f, seq_range r) {
  batch_file::update u(f);
  u.remove("telemetry", r);
  u.commit();
}

} // namespace

TEST_CASE("a batch that gives way leaves a gap of exactly its records", "[store]") {
  bench b;
  {
    auto f = b.open();
    append(*f, "first", 3);
    append(*f, "second", 4);
    append(*f, "third", 2);
    give_up(*f, {4, 7});
  }
  auto f = b.open();
  CHECK(f->read_from("telemetry", 1)->payload.view() == "first");
  const auto gap = f->read_from("telemetry", 4);
  REQUIRE(gap);
  CHECK(gap->seqs == seq_range{4, 7});
  CHECK(gap->gap_reason == v1::GAP_REASON_DISPLACED);
  CHECK(gap->payload.empty());
  CHECK(f->read_from("telemetry", 8)->payload.view() == "third");
  CHECK(f->stored_at("telemetry", 4).value_or(0) > 0);
  batch_file::update u(*f);
  CHECK(u.next_held("telemetry", 1)->seqs == seq_range{1, 3});
  CHECK(u.next_held("telemetry", 4)->seqs == seq_range{8, 9});
  CHECK_FALSE(u.next_held("telemetry", 9));
}

TEST_CASE("gaps side by side become one, with the reason of the larger", "[store]") {
  bench b;
  auto f = b.open();
  for (int i = 0; i < 5; ++i)
    append(*f, "payload", 10);
  give_up(*f, {1, 10});
  give_up(*f, {21, 30});
  CHECK(f->read_from("telemetry", 1)->seqs == seq_range{1, 10});
  give_up(*f, {11, 20}, v1::GAP_REASON_EXPIRED);
  CHECK(f->read_from("telemetry", 15)->seqs == seq_range{1, 30});
  CHECK(f->read_from("telemetry", 1)->gap_reason == v1::GAP_REASON_EXPIRED);
  give_up(*f, {31, 40});
  CHECK(f->read_from("telemetry", 1)->gap_reason == v1::GAP_REASON_EXPIRED);
  CHECK(f->read_from("telemetry", 41)->payload.view() == "payload");
  std::ostringstream out;
  CHECK(store::verify(b.settings.directory, out) == 0);
  CHECK(out.str().find("telemetry: 1 batches, 10 records, 40 records in 1 gaps, 0 problems") != std::string::npos);
  std::ostringstream stat;
  CHECK(store::stat(b.settings.directory, true, stat) == 0);
  CHECK(stat.str().find(R"("batches":1,"records":10,"first_seq":1,"last_seq":50)") != std::string::npos);
  CHECK(stat.str().find(R"("gaps":1,"gap_records":40)") != std::string::npos);
}

TEST_CASE("of a gap goes what is confirmed, and the rest stays", "[store]") {
  bench b;
  auto f = b.open();
  for (int i = 0; i < 5; ++i)
    append(*f, "payload", 10);
  for (std::uint64_t first = 1; first <= 41; first += 10)
    give_up(*f, {first, first + 9});
  remove(*f, {11, 20});
  CHECK(f->read_from("telemetry", 1)->seqs == seq_range{1, 10});
  CHECK(f->read_from("telemetry", 11)->seqs == seq_range{21, 50});
  remove(*f, {45, 50});
  CHECK(f->read_from("telemetry", 21)->seqs == seq_range{21, 44});
  remove(*f, {1, 30});
  CHECK(f->read_from("telemetry", 1)->seqs == seq_range{31, 44});
  CHECK(f->read_from("telemetry", 1)->gap_reason == v1::GAP_REASON_DISPLACED);
  remove(*f, {31, 44});
  CHECK_FALSE(f->read_from("telemetry", 1));
}

TEST_CASE("a batch whose payload or header is damaged gives way, too", "[store]") {
  bench b;
  {
    auto f = b.open();
    append(*f, "first", 10);
    append(*f, "second", 5);
  }
  damage(b, 1, 4, 0);  // counts none
  auto f = b.open();
  {
    batch_file::update u(*f);
    CHECK(u.next_held("telemetry", 1)->seqs == seq_range{1, 10});
  }
  give_up(*f, {1, 10});
  CHECK(f->read_from("telemetry", 1)->seqs == seq_range{1, 10});
  CHECK(f->read_from("telemetry", 1)->gap_reason == v1::GAP_REASON_DISPLACED);
}

TEST_CASE("what gives way frees its space", "[store]") {
  bench b;
  auto f = b.open();
  for (const std::size_t bytes : {100'000UL, 200UL}) {
    batch_file::update u(*f);
    while (u.used_bytes("telemetry") < 4 << 20)
      u.append("telemetry", 1, 0, std::string(bytes, 'x'));
    const auto full = u.used_bytes("telemetry");
    give_way_order order(config::overflow_rule::thin);
    std::uint64_t records = 0;
    while (u.used_bytes("telemetry") > full - (1 << 20)) {
      const auto held = u.next_held("telemetry", order.next());
      REQUIRE(held);  // half of it is enough for a quarter of the space
      if (order.takes(held->seqs, held->bytes) && u.give_up("telemetry", held->seqs, v1::GAP_REASON_DISPLACED))
        ++records;
    }
    CHECK(records * bytes > 1 << 19);
    CHECK(records * bytes < 3 << 20);
  }
}

// -- produced = delivered + gaps ----------------------------------------------------------------------------------------

namespace {

/// A store with two destinations. Deliveries are lost on the way or only their acknowledgement is, batches give way at
/// any time, and the store dies between two commits.
class world {
public:
  world(unsigned seed, config::overflow_rule how) : dice_(seed), how_(how), file_(bench_.open()) { reload(); }

  void turn() {
    switch (roll(8)) {
      case 0: case 1: append(*file_, "payload", 1 + roll(40)); break;
      case 2: displace(); break;
      case 3: case 4: send(roll(2)); break;
      case 5: arrive(roll(2), roll(2) == 0); break;
      case 6: commit_confirmed(); break;
      case 7: roll(4) == 0 ? crash() : lose(roll(2)); break;
    }
  }

  /// Everything is delivered: each number once, as a record or in a gap, and nothing is left.
  void settle() {
    for (unsigned to : {0U, 1U})
      for (lose(to); send(to);)
        arrive(to, true);
    commit_confirmed();
    const auto head = file_->head("telemetry");
    for (auto& c : centres_) {
      CHECK(c.twice == 0);
      CHECK(c.records.count() + c.gaps.count() == head);
      for (auto& r : c.records.ranges())
        CHECK_FALSE(c.gaps.touches(r));
    }
    CHECK_FALSE(file_->read_from("telemetry", 1));
  }
  std::uint64_t gaps(unsigned to) const { return centres_[to].gaps.count(); }
  std::uint64_t records(unsigned to) const { return centres_[to].records.count(); }

private:
  struct centre {
    std::string name;
    range_set records{};
    range_set gaps{};
    unsigned twice = 0;
    std::vector<batch> on_its_way{};
    range_set leased{};
  };

  unsigned roll(unsigned n) { return static_cast<unsigned>(dice_() % n); }

  void reload() {
    delivery_ = {};
    for (auto& c : centres_)
      delivery_.want(c.name, "telemetry");
    producer_table none;
    file_->load(none, delivery_);
    removable_ = delivery_.settled("telemetry");
    order_ = give_way_order(how_);
  }

  void crash() {
    file_.reset();
    file_ = bench_.open();
    reload();
    for (unsigned to : {0U, 1U})
      lose(to);
  }

  void displace() {
    batch_file::update u(*file_);
    auto order = order_;
    for (int n = 0; n < 6; ++n) {
      const auto held = u.next_held("telemetry", order.next());
      if (!held)
        order.end();
      else if (order.takes(held->seqs, give_way_order::stretch))
        CHECK(u.give_up("telemetry", held->seqs, roll(2) ? v1::GAP_REASON_DISPLACED : v1::GAP_REASON_EXPIRED));
    }
    if (roll(4) == 0)
      return;  // died before the commit
    u.commit();
    order_ = order;
  }

  /// As DISPATCHER does: what lies there, a batch or a gap of what is still to be told. False: there is nothing to send.
  bool send(unsigned to) {
    auto& c = centres_[to];
    for (auto& missing : delivery_.missing(c.name, "telemetry", file_->head("telemetry")))
      for (auto& todo : c.leased.outside(missing)) {
        auto found = file_->read_from("telemetry", todo.first);
        REQUIRE(found);
        REQUIRE(found->seqs.first <= todo.first);
        if (found->gap_reason != 0)
          found->seqs = {todo.first, std::min(found->seqs.last, todo.last)};
        c.leased.insert(found->seqs);
        c.on_its_way.push_back(*found);
        return true;
      }
    return false;
  }

  /// As the collector does: gaps stand for what is not there; a batch over a gap is refused.
  void arrive(unsigned to, bool acknowledged) {
    auto& c = centres_[to];
    if (c.on_its_way.empty())
      return;
    const auto b = c.on_its_way.front();
    c.on_its_way.erase(c.on_its_way.begin());
    c.leased.erase(b.seqs);
    if (b.gap_reason != 0) {
      for (auto& piece : c.records.outside(b.seqs))
        c.gaps.insert(piece);
    } else if (c.gaps.touches(b.seqs)) {
      return;
    } else {
      c.twice += c.records.touches(b.seqs) && !c.records.contains(b.seqs);
      c.records.insert(b.seqs);
    }
    for (auto& free : acknowledged ? delivery_.mark(c.name, "telemetry", b.seqs) : std::vector<seq_range>{})
      removable_.push_back(free);
  }

  void lose(unsigned to) {
    centres_[to].on_its_way.clear();
    centres_[to].leased.clear();
  }

  void commit_confirmed() {
    batch_file::update u(*file_);
    for (auto& c : centres_)
      u.delivered(c.name, "telemetry", delivery_.delivered(c.name, "telemetry"));
    for (auto& r : removable_)
      u.remove("telemetry", r);
    u.commit();
    removable_.clear();
  }

  std::mt19937 dice_;
  config::overflow_rule how_;
  bench bench_{};
  std::unique_ptr<batch_file> file_;
  delivery_state delivery_{};
  std::vector<seq_range> removable_{};
  give_way_order order_{};
  std::array<centre, 2> centres_{centre{"north"}, centre{"south"}};
};

} // namespace

TEST_CASE("produced = delivered + gaps, whatever gives way, is lost or dies when", "[store]") {
  std::uint64_t gaps = 0;
  std::uint64_t records = 0;
  for (unsigned seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    world w(seed, seed % 2 ? config::overflow_rule::drop_oldest : config::overflow_rule::thin);
    for (int i = 0; i < 400; ++i)
      w.turn();
    w.settle();
    for (unsigned to : {0U, 1U}) {
      gaps += w.gaps(to);
      records += w.records(to);
    }
  }
  CHECK(gaps > 1000);  // both happened
  CHECK(records > 1000);
}
