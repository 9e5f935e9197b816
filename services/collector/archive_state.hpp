#pragma once

// ARCHIVE's state, shared by its parts: archive_actor.cpp takes what arrives, archive_commit.cpp stores it.

#include "services/collector/archive.hpp"
#include "services/collector/collector.hpp"
#include "services/collector/session.hpp"

#include "holdfast/v1/dispatch.pb.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::collector {

struct archive_state {
  static inline const char* name = "ARCHIVE";

  caf::stateful_actor<archive_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<pulse::loop> beat;
  std::unique_ptr<archive> file;
  inbox present;
  struct pending {
    arrived batch;
    bool fresh;                   // repeated ones want an acknowledgement too
  };
  std::vector<pending> waiting;
  std::uint64_t waiting_bytes = 0;
  bool scheduled = false;
  bool full = false;
  std::chrono::steady_clock::time_point opened{};  // none: it stood long enough
  metrics::value* records = nullptr;
  metrics::value* bytes = nullptr;
  metrics::value* duplicates = nullptr;
  metrics::value* origins = nullptr;
  metrics::value* holes = nullptr;
  metrics::value* commits = nullptr;
  metrics::value* used = nullptr;

  void open();
  void on_arrived(const arrived& a);
  void on_greeted(const greeted& g);
  void refuse_full(session& from);
  void take_gap(const arrived& a);
  void take_elsewhere(const arrived& a);
  bool same(const arrived& a);
  void reject(const arrived& a, v1::Rejected::Reason why, const std::string& detail);
  void wait(const arrived& a, bool fresh);
  void commit();
  bool store_fresh();
  void publish();
  void acknowledge();
  void give_up(const std::string& why);
  void check_space();
  void on_beat();
};

} // namespace holdfast::collector
