#pragma once

// The inside of DISPATCHER; for its own sources only. dispatcher_actor.cpp has its life, dispatcher_links.cpp what
// links say and who carries what, dispatcher_flow.cpp which batch goes where.

#include "common/actor/next_wake.hpp"
#include "services/store/drain_forecast.hpp"
#include "services/store/live_cache.hpp"
#include "services/store/retry_pace.hpp"
#include "services/store/route_board.hpp"
#include "services/store/store.hpp"

#include "common/core/time.hpp"
#include "common/telemetry/sparse.hpp"
#include "holdfast/v1/dispatch.pb.h"

namespace holdfast::store {

struct attached_link {
  std::string peer;
  std::string destination;
  std::uint64_t session = 0;
  std::uint64_t connection = 0;  // that its leases are for
};

struct dispatcher_state {
  static inline const char* name = "DISPATCHER";

  caf::stateful_actor<dispatcher_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<pulse::loop> beat;
  std::map<std::string, route_board> boards;    // by destination
  std::map<std::string, drain_forecast> drains; // by destination
  std::map<std::string, attached_link> links;   // by link
  log::sparse strangers;
  std::unique_ptr<live_cache> cache;
  const std::uint64_t life = random_id();  // what is leased is known for so long
  bool informed = false;      // WRITER has told what is undelivered
  bool pump_scheduled = false;
  bool renewing = false;      // WRITER begins a new epoch
  retry_pace renewals;        // a destination that has something else each time must not make a new one each time
  actor::next_wake wake;      // by route_due
  std::uint64_t resident = 0; // bytes read through the map since it was last released
  metrics::value* dispatched = nullptr;
  metrics::value* reread = nullptr;
  metrics::value* damaged = nullptr;
  metrics::value* checked = nullptr;

  void open();
  void on_undelivered(const undelivered& u);
  void on_stored(const stored& s);
  void on_gave_way(const gave_way& g);
  void on_renewed();

  // From links.
  void on_link(const from_link& m);
  void on_hello(const std::string& peer, const v1::LinkHello& h);
  void on_ready(const std::string& peer, const v1::LinkReady& r);
  void on_delivered(const std::string& peer, const v1::Delivered& d);
  void on_rejected(const std::string& peer, const v1::Rejected& r);
  void on_down(const v1::LinkDown& d);
  void on_status(const std::string& peer, const v1::LinkStatus& status);
  attached_link* find(const std::string& link, std::uint64_t session);
  /// The link, if it speaks of this epoch; otherwise it has been told.
  attached_link* current(const std::string& peer, const std::string& link, std::uint64_t session, std::uint64_t epoch);
  void refuse(const std::string& peer, std::uint64_t session, v1::LinkRefusal::Reason why, const std::string& detail);

  // Routes.
  static moment present();
  void on_route_due();
  void on_command(const link_command& c);
  /// `when_kept`: called when what is to be kept is on disk.
  void tell(const std::function<void()>& when_kept = {});
  void tell_switch(const v1::LinkSwitch& s);
  void tell_link(const route_board& board, const std::string& link);
  void arm(std::optional<link::time_point> due);
  void show();

  // To links.
  void pump();
  bool carry_out(route_board& board, const dispatch_plan::order& o, int& reads);
  std::optional<batch> read(const dispatch_plan::order& o, int& reads);
  /// Batches that every destination has are not read again.
  void forget_confirmed(const std::string& record_class);
  void lease(route_board& board, const dispatch_plan::order& o, const batch& b);
  void send_batch(const attached_link& link, const batch& b, dispatch_plan::kind how);
  void renew_when_settled();
  void figures();
  void send(const std::string& peer, const v1::RouteMessage& m, std::vector<blob> more = {});
};

} // namespace holdfast::store
