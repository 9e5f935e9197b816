#pragma once

// Included by sources only: it pulls in CAF.

#include <caf/actor.hpp>
#include <caf/send.hpp>

#include <mutex>
#include <utility>

namespace holdfast::actor {

/// Where foreign threads (bus, sockets, field buses) find the present incarnation of an actor. Whoever spawns it puts it
/// in; what is sent while there is none, or to a dead one, is dropped: the protocols resend.
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
