#pragma once

// The store: holds every record until its destinations have it. Read this first, then
//   producer_table.hpp   which batch of which producer may be stored next       (core)
//   delivery_state.hpp   what each destination has, and so what can go           (core)
//   delivery_lane.hpp    what one destination lacks of one class                 (core)
//   dispatch_plan.hpp    which batch goes to which link next                     (core)
//   dispatch_step.hpp    what that comes to, once it is read                     (core)
//   route_board.hpp      which link carries what of one destination              (core)
//   class_policy.hpp     which class gives way to which, and who waits           (core)
//   expiry.hpp           whose time to live is over                              (core)
//   batch_file.hpp       the LMDB file
//   writer_actor.cpp     WRITER: offers in, one commit for all that wait, acknowledgements out
//   dispatcher_actor.cpp DISPATCHER: leases to links, acknowledgements back to WRITER
//
// Messages between them, and from the bus. Each is a plain struct and is passed by reference count.

#include "common/actor/slot.hpp"
#include "common/service/runtime.hpp"
#include "holdfast/v1/control.pb.h"
#include "services/store/batch_file.hpp"
#include "services/store/control.hpp"
#include "services/store/waiting_room.hpp"

#include <caf/all.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast::v1 {
class LinkMessage;
}

namespace holdfast::store {

// -- to WRITER --------------------------------------------------------------------------------------------------------

/// A producer opens its session or asks again.
struct hello {
  std::string peer, producer;
  std::uint64_t session;
  std::string record_class;
  waiting_room::seat seat{};
};
/// A batch to be stored.
struct offer {
  std::string peer, producer;
  std::uint64_t session, seq;
  std::uint32_t count, crc;
  std::string position;
  blob payload;
  waiting_room::seat seat{};
};
/// A destination confirmed these.
struct confirmed { std::string destination, record_class; std::vector<seq_range> ranges; };
/// DISPATCHER (the sender) is there and needs to know what is undelivered.
struct subscribe {};
/// A destination has numbers that this store did not give it: begin a new epoch.
struct renew { std::string why; };
/// To be written with the next commit.
struct keep {
  std::map<std::string, v1::LinkRow> links;
  std::map<std::string, v1::JournalRow> journals;  // by destination
  std::vector<std::function<void()>> then;         // called when it is on disk
  bool empty() const { return links.empty() && journals.empty() && then.empty(); }
};
struct commit_due {};
struct gathered {};
struct housekeeping_due {};

// -- to DISPATCHER ----------------------------------------------------------------------------------------------------

/// What each destination lacks; everything stored later follows as `stored`.
struct undelivered {
  struct entry { std::string destination, record_class; std::vector<seq_range> ranges; };
  std::vector<entry> entries;
  std::map<std::string, std::uint64_t> heads;  // by class
};
/// The store has a new epoch.
struct renewed {};
/// On disk now.
struct stored { std::vector<batch> batches; };
/// In the place of these batches gaps are stored now.
struct gave_way {
  struct entry { std::string record_class; seq_range seqs; };
  std::vector<entry> batches;
};
/// From the bus: a LinkMessage, parsed there.
struct from_link {
  std::string peer;
  std::shared_ptr<const v1::LinkMessage> message;
  waiting_room::seat seat{};
};
struct pump_due {};
struct route_due {};
/// What an operator wants of a link that is configured; answered once it is on disk.
struct link_command { v1::LinkCommand command; control_answer answer; };

/// What DISPATCHER last said of its links, for the bus thread.
class link_view {
public:
  void set(v1::LinksReply r) {
    std::lock_guard lock(mutex_);
    reply_ = std::move(r);
  }
  v1::LinksReply get() const {
    std::lock_guard lock(mutex_);
    return reply_;
  }

private:
  mutable std::mutex mutex_;
  v1::LinksReply reply_;
};

/// What both need.
struct context {
  service::runtime& rt;
  std::shared_ptr<batch_file> file;
  bus::loop::socket ingest = 0;
  bus::loop::socket dispatch = 0;
  waiting_room for_writer{32 << 20};
  waiting_room for_dispatcher{4 << 20};
  actor::slot writer;
  actor::slot dispatcher;
  link_view links{};
};

caf::actor spawn_writer(caf::actor_system& system, std::shared_ptr<context> ctx);
caf::actor spawn_dispatcher(caf::actor_system& system, std::shared_ptr<context> ctx);

/// Opens the store's sockets on the bus; messages go to the actors.
void open_sockets(const std::shared_ptr<context>& ctx);

} // namespace holdfast::store

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::hello)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::offer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::confirmed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::subscribe)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::renew)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::renewed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::keep)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::commit_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::gathered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::housekeeping_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::undelivered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::stored)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::gave_way)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::from_link)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::pump_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::route_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::store::link_command)
