#include "common/actor/supervisor.hpp"

#include "common/actor/guard.hpp"

#include <caf/all.hpp>

#include <algorithm>
#include <deque>
#include <utility>

namespace holdfast::actor {

namespace {

// Timer messages carry the incarnation they belong to: timers cannot be cancelled, stale ones are ignored.
struct revive { std::size_t child; std::uint64_t incarnation; };
struct reap { std::size_t child; std::uint64_t incarnation; };

} // namespace
} // namespace holdfast::actor

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::actor::revive)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::actor::reap)

namespace holdfast::actor {

namespace {

using std::chrono::milliseconds;

struct supervisor_state {
  static inline const char* name = "supervisor";

  struct slot {
    child_spec spec;
    caf::actor handle;       // null while down
    caf::actor_addr addr;    // what a DOWN message is compared with
    std::uint64_t incarnation = 0;
    unsigned failures = 0;   // in a row
    caf::actor_clock::time_point started;
    bool wanted = false;     // is to be started again
    bool asked = false;      // to stop
  };

  caf::stateful_actor<supervisor_state>* self = nullptr;
  std::string label;
  supervisor_options options;
  supervision_listener listener;
  std::vector<slot> slots;
  std::deque<caf::actor_clock::time_point> history;  // restarts within the period
  bool stopping = false;
  caf::error verdict;

  void tell(const slot& s, std::string what, std::string reason = {}, milliseconds wait = {}) const {
    if (listener)
      listener({s.spec.id, std::move(what), std::move(reason), wait});
  }

  void start(std::size_t i) {
    auto& s = slots[i];
    s.wanted = s.asked = false;
    ++s.incarnation;
    s.started = self->clock().now();
    std::string cause = "no actor";
    try {
      s.handle = s.spec.start(self->system());
    } catch (const std::exception& e) {
      s.handle = nullptr;
      cause = e.what();
    }
    if (!s.handle) {
      log::error("failed to start component supervisor={} child={} cause=\"{}\"", label, s.spec.id, cause);
      return failed(i, cause);
    }
    s.addr = s.handle->address();
    self->monitor(s.handle);
    tell(s, "started");
  }

  bool intensity_exceeded() {
    const auto now = self->clock().now();
    history.push_back(now);
    while (now - history.front() > options.period)
      history.pop_front();
    return history.size() > options.intensity;
  }

  milliseconds backoff(unsigned failures) const {
    auto wait = options.backoff_first;
    for (unsigned n = 1; n < failures && wait < options.backoff_cap; ++n)
      wait *= 2;
    return std::min(wait, options.backoff_cap);
  }

  void failed(std::size_t i, const std::string& reason) {
    auto& s = slots[i];
    if (self->clock().now() - s.started > 10 * options.period)
      s.failures = 0;
    if (intensity_exceeded()) {
      tell(s, "gave up", reason);
      log::error("restart intensity exceeded supervisor={} child={} cause=\"{}\"", label, s.spec.id, reason);
      return stop(caf::make_error(caf::sec::runtime_error, "restart intensity exceeded", s.spec.id));
    }
    const auto wait = backoff(++s.failures);
    tell(s, "restarting", reason, wait);
    self->delayed_send(self, wait, revive{i, s.incarnation});
  }

  void on_down(caf::down_msg& dm) {
    auto s = std::find_if(slots.begin(), slots.end(), [&](auto& x) { return x.handle && x.addr == dm.source; });
    if (s == slots.end())
      return;  // an incarnation we no longer know
    s->handle = nullptr;
    if (stopping || s->wanted)
      return converge();
    const bool abnormal = static_cast<bool>(dm.reason);
    if (s->spec.policy == restart::temporary || (s->spec.policy == restart::transient && !abnormal))
      return;
    failed(static_cast<std::size_t>(s - slots.begin()), caf::to_string(dm.reason));
  }

  void on_revive(const revive& r) {
    if (stopping || slots[r.child].incarnation != r.incarnation || slots[r.child].handle)
      return;
    slots[r.child].wanted = true;
    if (options.how == strategy::rest_for_one)
      for (auto i = r.child + 1; i < slots.size(); ++i)
        if (slots[i].handle && slots[i].spec.policy != restart::temporary)
          slots[i].wanted = true;
    converge();
  }

  void on_reap(const reap& r) {
    auto& s = slots[r.child];
    if (s.handle && s.incarnation == r.incarnation)
      self->send_exit(s.handle, caf::exit_reason::kill);
  }

  void ask_to_stop(std::size_t i) {
    auto& s = slots[i];
    if (std::exchange(s.asked, true))
      return;
    self->send_exit(s.handle, caf::exit_reason::user_shutdown);
    self->delayed_send(self, s.spec.grace, reap{i, s.incarnation});
  }

  // One step towards what is wanted: first stops from the right, one child at a time or all together, then starts from
  // the left.
  void converge() {
    bool waits = false;
    for (auto i = slots.size(); i-- > 0;) {
      if (!slots[i].handle || !(stopping || slots[i].wanted))
        continue;
      ask_to_stop(i);
      waits = true;
      if (!stopping || !options.stop_together)
        break;
    }
    if (waits)
      return;
    if (stopping)
      return self->quit(verdict);
    for (std::size_t i = 0; i < slots.size() && !stopping; ++i)
      if (slots[i].wanted)
        start(i);
  }

  void stop(caf::error why) {
    if (stopping)
      return;
    stopping = true;
    verdict = std::move(why);
    converge();
  }
};

caf::behavior supervisor(caf::stateful_actor<supervisor_state>* self, std::string label, supervisor_options options,
                         std::vector<child_spec> children, supervision_listener listener) {
  guard(self, label);
  auto& st = self->state;
  st.self = self;
  st.label = std::move(label);
  st.options = options;
  st.listener = std::move(listener);
  for (auto& spec : children)
    st.slots.push_back({.spec = std::move(spec)});
  self->set_down_handler([self](caf::down_msg& dm) { self->state.on_down(dm); });
  self->set_exit_handler([self](caf::exit_msg& m) { self->state.stop(m.reason); });
  for (auto& s : st.slots)
    s.wanted = true;
  self->send(self, caf::tick_atom::value);
  return {
    [self](caf::tick_atom) { self->state.converge(); },
    [self](const revive& r) { self->state.on_revive(r); },
    [self](const reap& r) { self->state.on_reap(r); },
  };
}

} // namespace

caf::actor spawn_supervisor(caf::actor_system& system, std::string name, supervisor_options options,
                            std::vector<child_spec> children, supervision_listener listener) {
  return system.spawn(supervisor, std::move(name), options, std::move(children), std::move(listener));
}

} // namespace holdfast::actor
