#pragma once

// Included by sources only: it pulls in CAF.

#include <caf/actor.hpp>
#include <caf/send.hpp>

#include <mutex>
#include <utility>

namespace holdfast::actor {

/// Where foreign threads (bus, sockets, field buses) find the present incarnation of an actor. What is sent while there is
/// none, or to a dead one, is dropped: the protocols resend. Whoever spawns the actor puts it in, so that what comes
/// before its first turn waits in its mailbox; an actor that begins by reading what such a thread keeps for it puts itself
/// in first, or a change between the two would reach nobody.
class slot {
public:
  void set(caf::actor a) {
    std::lock_guard lock(mutex_);
    actor_ = std::move(a);
  }

  caf::actor get() const {
    std::lock_guard lock(mutex_);
    return actor_;
  }

  template <class... A> void send(A&&... message) const {
    if (auto target = get())
      caf::anon_send(target, std::forward<A>(message)...);
  }

private:
  mutable std::mutex mutex_;
  caf::actor actor_;
};

} // namespace holdfast::actor
