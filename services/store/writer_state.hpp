#pragma once

// The inside of WRITER; for its own sources only. writer_actor.cpp has its life and what comes in, writer_commit.cpp the
// commit and what follows from it.

#include "services/store/space.hpp"
#include "services/store/store.hpp"

#include "holdfast/v1/ingest.pb.h"

namespace holdfast::store {

struct writer_state {
  static inline const char* name = "WRITER";

  caf::stateful_actor<writer_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<pulse::loop> beat;
  producer_table producers;
  delivery_state delivery;

  std::vector<offer> pending;
  std::uint64_t pending_bytes = 0;
  std::map<std::pair<std::string, std::string>, bool> changed;  // destination, class: its delivery row
  std::map<std::string, std::vector<seq_range>> removable;      // class
  keep notes;                                                   // of DISPATCHER
  bool commit_scheduled = false;
  store::space space;
  bool full = false;  // as producers were told
  std::chrono::steady_clock::time_point opened{};
  caf::actor listener;  // DISPATCHER

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
  std::uint64_t window() const { return full ? 0 : settings().producer_window.count; }

  void open();
  void on_hello(const hello& h);
  void on_offer(const offer& o);
  void on_confirmed(const confirmed& c);
  void on_subscribe(const caf::actor& who);
  void on_renew(const renew& r);
  void on_keep(const keep& k);
  void on_housekeeping();
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
  void tell_space(std::uint64_t bytes, const std::string& cause = {});
  void acknowledge(const std::string& producer);
  void refuse(const offer& o, v1::ProducerRefusal::Reason why, const std::string& detail);
  void send(const std::string& peer, const v1::StoreMessage& m) {
    ctx->rt.bus().send(ctx->ingest, {peer, {blob(m.SerializeAsString())}});
  }
};

} // namespace holdfast::store
