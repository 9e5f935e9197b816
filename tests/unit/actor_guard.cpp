#include "actor_world.hpp"
#include "common/actor/guard.hpp"
#include "common/actor/slot.hpp"

#include <catch2/catch.hpp>

using namespace holdfast::actor;

TEST_CASE("a slot sends to the incarnation that is there, and to nobody without harm", "[actor]") {
  test::actor_world w;
  slot s;
  s.send(1);
  CHECK_FALSE(s.get());
  int sum = 0;
  const auto adder = [&](int factor) {
    return w.own(w.system().spawn([&sum, factor](caf::event_based_actor*, int) -> caf::behavior {
      return {[&sum, factor](int n) { sum += factor * n; }};
    }, 0));
  };
  s.set(adder(1));
  s.send(2);
  s.set(adder(10));
  s.send(3);
  w.run();
  CHECK(sum == 32);
  s.set(nullptr);
}

TEST_CASE("a guarded actor survives what it does not understand and ends with an error when it throws", "[actor]") {
  test::actor_world w;
  std::string reason;
  auto a = w.own(w.system().spawn([&](caf::event_based_actor* self, int) -> caf::behavior {
    guard(self, "A");
    self->attach_functor([&](const caf::error& e) { reason = caf::to_string(e); });
    return {[](int n) {
      if (n == 1)
        throw 5;
    }};
  }, 0));
  caf::anon_send(a, std::string("what?"));
  caf::anon_send(a, caf::make_error(caf::sec::request_timeout));
  caf::anon_send(a, 2);
  w.run();
  CHECK(reason.empty());
  caf::anon_send(a, 1);
  w.run();
  CHECK(reason.find("runtime_error") != std::string::npos);
}
