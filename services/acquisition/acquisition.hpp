#pragma once

// Acquisition: takes data from field devices and hands it to the store. Read this first, then
//   framing.hpp        bytes into frames                                          (core)
//   batch_builder.hpp  records into batches, encoded once                         (core)
//   producer.hpp       the window of batches the store has not confirmed          (core)
//   redial.hpp         when a device is called again                              (core)
//   intake.hpp         where records come from: sockets, serial lines, Modbus, the simulator
//   source_actor.cpp   SOURCE: one per configured source; fails and restarts alone
//   modbus/            Modbus masters

#include "common/actor/slot.hpp"
#include "common/net/io_loop.hpp"
#include "common/service/runtime.hpp"
#include "services/acquisition/sample.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::v1 {
class StoreMessage;
}

namespace holdfast::acquisition {

class conversation;

// -- to SOURCE --------------------------------------------------------------------------------------------------------

/// From the store, for this source's producer.
struct from_store { std::shared_ptr<const v1::StoreMessage> message; };
/// The bus connection to the store came or went.
struct store_there { bool yes; };
/// A device connected (or a serial line was opened); it reads nothing before resume().
struct connected { std::shared_ptr<conversation> with; };
/// It sent this; it reads nothing more before resume().
struct received { std::shared_ptr<conversation> from; timestamp at; blob bytes; };
/// Its line was silent for the frame gap.
struct went_idle { std::shared_ptr<conversation> from; timestamp at; };
struct disconnected { std::shared_ptr<conversation> from; std::string why; };
/// Nobody waits for these: a full window drops them.
struct datagram { timestamp at; blob bytes; std::string peer; };
/// The kernel had no room for so many datagrams, which would have come here.
struct unheard { std::uint32_t count; };
struct sampled { std::vector<sample> samples; };
/// The intake could not do its work; it tries again by itself.
struct intake_state { std::string component, state, detail; bool healthy; };
/// The intake was stopped; nothing comes behind this.
struct intake_ended {};

struct context {
  service::runtime& rt;
  bus::loop::socket store = 0;
  std::atomic<bool> store_reachable{false};             // the bus may know before a SOURCE is there
  std::map<std::string, std::shared_ptr<actor::slot>> sources;  // by producer name
  std::string boot_id;
};

/// "acquisition/<source>"
std::string producer_name(const config::source& s);

caf::actor spawn_source(caf::actor_system& system, std::shared_ptr<context> ctx, config::source settings);

} // namespace holdfast::acquisition

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::from_store)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::store_there)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::connected)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::received)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::went_idle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::disconnected)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::datagram)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::unheard)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::sampled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::intake_state)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::intake_ended)
