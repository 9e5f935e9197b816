#pragma once

// The inside of WRITER; for its own sources only. writer_actor.cpp has its life and what comes in, writer_commit.cpp the
// commit and what follows from it, writer_room.cpp who gives way and who waits.

#include "services/store/class_policy.hpp"
#include "services/store/expiry.hpp"
#include "services/store/space.hpp"
#include "services/store/store.hpp"

#include "common/telemetry/sparse.hpp"
#include "holdfast/v1/ingest.pb.h"
#include "holdfast/v1/record.pb.h"

#include <optional>
#include <set>

namespace holdfast::store {

struct writer_state {
  static inline const char* name = "WRITER";

  caf::stateful_actor<writer_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<pulse::loop> beat;
  producer_table producers;
  delivery_state delivery;
  log::sparse greeted{100};

  std::vector<offer> pending;
  std::uint64_t pending_bytes = 0;
  std::map<std::pair<std::string, std::string>, bool> changed;  // destination, class: its delivery row
  std::map<std::string, std::vector<seq_range>> removable;      // class
  keep notes;                                                   // of DISPATCHER
  bool commit_scheduled = false;
  std::optional<std::chrono::steady_clock::time_point> gather_until;  // the next commit that waits for more
  store::space space;
  class_policy policy;
  std::set<std::string> waiting;  // classes whose producers were told to wait
  std::map<std::string, give_way_order> orders;
  expiry ages;
  bool expiring = false;          // the time of some batches is over
  std::int64_t ages_kept = 0;     // CLOCK_BOOTTIME of their row in the file
  std::chrono::steady_clock::time_point opened{};
  caf::actor listener;  // DISPATCHER

  struct class_figures {
    metrics::value* used;
    metrics::value* displaced;
    metrics::value* expired;
    bool displacing = false;      // as the alarm says
    int quiet_beats = 0;          // since something was displaced
  };
  std::map<std::string, class_figures> figures;
  std::map<std::string, std::chrono::milliseconds> gathering;  // durability window by class
  metrics::value* stored_records = nullptr;
  metrics::value* stored_bytes = nullptr;
  metrics::value* commits = nullptr;
  metrics::value* commit_seconds = nullptr;
  metrics::value* failed_commits = nullptr;
  metrics::value* epochs = nullptr;
  metrics::value* used = nullptr;
  metrics::value* refused = nullptr;
  metrics::value* duplicates = nullptr;

  const config::store& settings() const { return ctx->rt.config().store; }
  bool full() const { return !waiting.empty(); }
  std::uint64_t window(const std::string& record_class) const {
    return waiting.contains(record_class) ? 0 : settings().producer_window.count;
  }

  void open();
  void open_room();
  void on_hello(const hello& h);
  void on_offer(const offer& o);
  void on_confirmed(const confirmed& c);
  void on_subscribe(const caf::actor& who);
  void on_renew(const renew& r);
  void on_keep(const keep& k);
  void on_housekeeping();
  void on_gathered();
  void schedule_commit(std::chrono::milliseconds delay);
  void warn_of_unwanted() const;
  void commit();
  enum class what { confirmations, all };
  bool step(what w);
  bool affordable();
  std::map<std::string, std::vector<seq_range>> apply_confirmed(batch_file::update& u);
  std::vector<batch> apply_offers(batch_file::update& u);
  void after_offers(std::vector<batch>&& done);
  void failed(const storage::error& e, what w);
  void drop_offers();

  /// What leaves in one transaction; it counts when that stands.
  struct leaving {
    std::map<std::string, give_way_order> orders;
    expiry ages;
    bool more = false;  // than one transaction takes
    gave_way gone{};
    std::map<std::pair<std::string, v1::GapReason>, std::uint64_t> records{};
  };
  void make_room(batch_file::update& u, what w, leaving& out);
  void displace(batch_file::update& u, const class_policy::victim& v, std::uint64_t steps, leaving& out);
  void expire(batch_file::update& u, leaving& out);
  bool give_up(batch_file::update& u, const std::string& record_class, seq_range held, v1::GapReason why, leaving& out);
  void note_ages(batch_file::update& u, const std::vector<batch>& done, leaving& out);
  void left(leaving&& out);
  void watch_room();
  void tell_space(const batch_file::usage& now, const std::string& cause = {});
  void acknowledge(const std::string& producer);
  void refuse(const offer& o, v1::ProducerRefusal::Reason why, const std::string& detail);
  void send(const std::string& peer, const v1::StoreMessage& m) {
    ctx->rt.bus().send(ctx->ingest, {peer, {blob(m.SerializeAsString())}});
  }
};

} // namespace holdfast::store
