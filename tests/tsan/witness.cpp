// Shows what ThreadSanitizer sees of actors: "ordered" does what they may do and must be silent, "shared" lets two of them
// count in one place, which must be reported: tests/tsan/run asks for both.

#include <caf/all.hpp>

#include <fmt/format.h>

#include <atomic>
#include <future>
#include <string>
#include <vector>

namespace {

constexpr int rounds = 20000;

struct counter_state {
  std::vector<int> sizes;  // touched by whichever thread runs the actor
};

// Counts in its own state, and in `place` where it has one.
caf::behavior counter(caf::stateful_actor<counter_state>* self, int* place) {
  return {[=](const std::string& text) {
    self->state.sizes.push_back(static_cast<int>(text.size()));
    if (place != nullptr)
      ++*place;
    if (self->state.sizes.size() == rounds)
      self->quit();
  }};
}

// Sends strings to two counters from this thread and waits until both have ended.
int run(int* place) {
  caf::actor_system_config cfg;
  cfg.set("scheduler.policy", caf::atom("sharing"));
  cfg.set("scheduler.max-threads", std::size_t{2});
  cfg.set("scheduler.max-throughput", std::size_t{7});  // many changes of the thread
  caf::actor_system system{cfg};
  std::promise<void> over[2];
  std::vector<caf::actor> counters;
  for (auto& o : over) {
    counters.push_back(system.spawn(counter, place));
    counters.back()->attach_functor([&o, text = std::string(100, 'x')] { text.empty() ? void() : o.set_value(); });
  }
  for (int i = 0; i < rounds; ++i)
    for (auto& c : counters)
      caf::anon_send(c, fmt::format("{:100}", i));
  counters.clear();  // the last reference is an actor's own
  for (auto& o : over)
    o.get_future().wait();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  int place = 0;
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "ordered")
    return run(nullptr);
  if (what == "shared")
    return run(&place);
  fmt::print(stderr, "usage: holdfast-tsan-witness ordered|shared\n");
  return 64;
}
