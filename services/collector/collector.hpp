#pragma once

// The collector: the centre's side of the links. Read this first, then
//   inbox.hpp          what has arrived already                                   (core)
//   archive.hpp        the LMDB file
//   session.hpp        one gateway's connection (Asio)
//   archive_actor.cpp  ARCHIVE: one commit for all batches that wait (archive_commit.cpp), acknowledgements after it
//   server_actor.cpp   SERVER: the listening socket
//
// Its sessions speak messages/holdfast/v1/wire.proto.

#include "common/actor/slot.hpp"
#include "common/net/io_loop.hpp"
#include "common/service/runtime.hpp"
#include "services/collector/inbox.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::collector {

class session;

// -- to ARCHIVE -------------------------------------------------------------------------------------------------------

/// A gateway said hello and waits for what is present.
struct greeted { std::shared_ptr<session> from; std::string gateway; std::uint64_t epoch; };
/// A batch to be stored and acknowledged.
struct arrived {
  std::shared_ptr<session> from;
  collector::origin origin;
  seq_range seqs;
  std::uint32_t crc, gap_reason;
  bool historical;
  bool check_only;  // no payload: is exactly this here?
  blob payload;
  /// What it takes while it waits: a batch without payload is not free.
  std::size_t cost() const noexcept { return payload.size() + 512; }
};
struct commit_due {};

// -- to SERVER --------------------------------------------------------------------------------------------------------

struct listen_due {};

struct context {
  service::runtime& rt;
  config::collector settings;
  actor::slot archive;
  std::atomic<std::size_t> waiting_bytes{0};  // cost of all sessions' batches that are not committed
};

caf::actor spawn_archive(caf::actor_system& system, std::shared_ptr<context> ctx);
caf::actor spawn_server(caf::actor_system& system, std::shared_ptr<context> ctx);

} // namespace holdfast::collector

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::collector::greeted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::collector::arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::collector::commit_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::collector::listen_due)
