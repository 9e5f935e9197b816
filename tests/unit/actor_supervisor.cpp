#include "actor_world.hpp"
#include "common/actor/guard.hpp"
#include "common/actor/supervisor.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <map>
#include <utility>

using namespace holdfast;
using namespace holdfast::actor;
using namespace std::chrono_literals;

namespace {

enum class order : int { end, fail, exit_with_error };

/// A supervisor's children, by name, and what happened: "+a" started, "-a" asked to stop, "~a" gone.
struct bench {
  std::map<std::string, caf::actor> kids;
  std::map<std::string, int> refuse_start;   // so many starts of the child fail
  std::map<std::string, bool> stubborn;      // does not stop when asked
  std::string log;
  std::string ended;                         // reason of the supervisor
  test::actor_world w;
  caf::actor supervisor;

  ~bench() {
    kids.clear();
    supervisor = nullptr;
  }

  child_spec child(std::string id, restart policy = restart::permanent, std::chrono::milliseconds grace = 100ms) {
    return {id, [this, id](caf::actor_system& system) { return start(system, id); }, policy, grace};
  }

  caf::actor start(caf::actor_system& system, const std::string& id) {
    if (refuse_start[id] > 0) {
      log += "x" + id + " ";
      if (refuse_start[id]-- % 2 == 0)
        throw std::runtime_error("no such device");
      return nullptr;
    }
    log += "+" + id + " ";
    auto a = system.spawn([this, id](caf::event_based_actor* self, int) -> caf::behavior {
      guard(self, id);
      self->attach_functor([this, id](const caf::error&) { log += "~" + id + " "; });
      self->set_exit_handler([this, id, self](caf::exit_msg& m) {
        log += "-" + id + " ";
        if (!stubborn[id])
          self->quit(m.reason);
      });
      return {[self](int what) {
        if (what == static_cast<int>(order::end))
          self->quit();
        else if (what == static_cast<int>(order::fail))
          throw std::runtime_error("told to fail");
        else
          self->quit(caf::make_error(caf::sec::runtime_error));
      }};
    }, 0);
    kids[id] = a;
    return a;
  }

  void run(std::vector<child_spec> children, supervisor_options options = {}, supervision_listener listener = {}) {
    supervisor = w.own(spawn_supervisor(w.system(), "test", options, std::move(children), std::move(listener)));
    supervisor->attach_functor([this](const caf::error& e) { ended = e ? caf::to_string(e) : "normal"; });
    w.run();
  }
  void tell(const std::string& id, order o = order::fail) {
    caf::anon_send(kids.at(id), static_cast<int>(o));
    w.run();
  }
  void stop() {
    caf::anon_send_exit(supervisor, caf::exit_reason::user_shutdown);
    w.run();
  }
  std::string look() { return std::exchange(log, {}); }
  std::string after(std::chrono::milliseconds d) {
    w.advance(d);
    return look();
  }
};

} // namespace

TEST_CASE("children start in order and stop in reverse, one at a time", "[actor]") {
  bench b;
  b.run({b.child("a"), b.child("b"), b.child("c")});
  CHECK(b.look() == "+a +b +c ");
  b.stop();
  CHECK(b.look() == "-c ~c -b ~b -a ~a ");
  CHECK(b.ended.find("user_shutdown") != std::string::npos);
}

TEST_CASE("children that stop together are all asked at once, and each is killed after its own grace", "[actor]") {
  bench b;
  b.stubborn["a"] = b.stubborn["c"] = true;
  b.run({b.child("a"), b.child("b"), b.child("c", restart::permanent, 50ms), b.child("d")}, {.stop_together = true});
  b.look();
  b.stop();
  CHECK(b.look() == "-d ~d -c -b ~b -a ");  // the others do not wait for c
  CHECK(b.after(50ms) == "~c ");
  CHECK(b.after(50ms) == "~a ");
  CHECK(b.ended.find("user_shutdown") != std::string::npos);
}

TEST_CASE("where children stop together, those of a restart still stop one after another", "[actor]") {
  bench b;
  b.stubborn["c"] = true;
  b.run({b.child("a"), b.child("b"), b.child("c")}, {.how = strategy::rest_for_one, .stop_together = true});
  b.look();
  b.tell("a");
  CHECK(b.after(10ms) == "~a -c ");
  b.stop();  // meanwhile all are to stop: who was asked already is not asked again
  CHECK(b.look() == "-b ~b ");
  CHECK(b.after(100ms) == "~c ");
}

TEST_CASE("one-for-one restarts the child that failed, and no other", "[actor]") {
  bench b;
  b.run({b.child("a"), b.child("b")});
  b.look();
  b.tell("a");
  CHECK(b.look() == "~a ");
  CHECK(b.after(9ms) == "");
  CHECK(b.after(1ms) == "+a ");
  b.tell("b", order::end);  // a permanent child that ends is started again, too
  CHECK(b.after(10ms) == "~b +b ");
}

TEST_CASE("rest-for-one restarts the child that failed and all after it", "[actor]") {
  bench b;
  b.run({b.child("a"), b.child("b"), b.child("c"), b.child("d", restart::temporary), b.child("e")},
        {.how = strategy::rest_for_one});
  b.look();
  b.tell("b");
  CHECK(b.look() == "~b ");
  CHECK(b.after(10ms) == "-e ~e -c ~c +b +c +e ");
  b.tell("e");
  CHECK(b.after(10ms) == "~e +e ");
}

TEST_CASE("rest-for-one waits for a child that is slow to stop, and kills it in the end", "[actor]") {
  bench b;
  b.stubborn["b"] = true;
  b.run({b.child("a"), b.child("b")}, {.how = strategy::rest_for_one});
  b.look();
  b.tell("a");
  CHECK(b.after(10ms) == "~a -b ");
  CHECK(b.after(99ms) == "");
  CHECK(b.after(1ms) == "~b +a +b ");
}

TEST_CASE("the wait before a restart doubles up to its cap", "[actor]") {
  bench b;
  b.run({b.child("a")}, {.intensity = 100, .backoff_first = 10ms, .backoff_cap = 50ms});
  b.look();
  for (auto wait : {10ms, 20ms, 40ms, 50ms, 50ms}) {
    b.tell("a");
    CHECK(b.after(wait - 1ms) == "~a ");
    CHECK(b.after(1ms) == "+a ");
  }
}

TEST_CASE("a child that ran for long begins with the shortest wait again", "[actor]") {
  bench b;
  b.run({b.child("a")}, {.intensity = 100, .period = 100ms, .backoff_first = 10ms, .backoff_cap = 5000ms});
  for (int n = 0; n < 4; ++n) {
    b.tell("a");
    b.after(200ms);
  }
  b.after(1001ms);
  b.tell("a");
  CHECK(b.after(10ms) == "~a +a ");
}

TEST_CASE("more restarts than the intensity allows end the supervisor with an error, children in order", "[actor]") {
  bench b;
  b.run({b.child("a"), b.child("b"), b.child("c")}, {.intensity = 3, .period = 1000ms, .backoff_first = 1ms});
  b.look();
  for (int n = 0; n < 3; ++n) {
    b.tell("b");
    b.after(20ms);
  }
  b.look();
  CHECK(b.ended.empty());
  b.tell("b");
  CHECK(b.look() == "~b -c ~c -a ~a ");
  CHECK(b.ended.find("restart intensity exceeded") != std::string::npos);
  CHECK(b.ended.find("\"b\"") != std::string::npos);
}

TEST_CASE("restarts longer ago than the period do not count", "[actor]") {
  bench b;
  b.run({b.child("a")}, {.intensity = 2, .period = 100ms, .backoff_first = 1ms, .backoff_cap = 1ms});
  for (int n = 0; n < 20; ++n) {
    b.tell("a");
    b.after(51ms);
  }
  CHECK(b.ended.empty());
}

TEST_CASE("a child that does not stop when asked is killed after its grace", "[actor]") {
  bench b;
  b.stubborn["b"] = true;
  b.run({b.child("a"), b.child("b")});
  b.look();
  b.stop();
  CHECK(b.look() == "-b ");
  b.stop();  // asked twice: as once
  CHECK(b.after(99ms) == "");
  CHECK(b.after(1ms) == "~b -a ~a ");
}

TEST_CASE("a child that cannot start is tried again, later each time", "[actor]") {
  bench b;
  b.refuse_start["a"] = 4;
  b.run({b.child("a"), b.child("b")}, {.backoff_first = 10ms});
  CHECK(b.look() == "xa +b ");
  CHECK(b.after(9ms) == "");
  CHECK(b.after(1ms) == "xa ");
  CHECK(b.after(20ms) == "xa ");
  CHECK(b.after(40ms) == "xa ");
  CHECK(b.after(79ms) == "");
  CHECK(b.after(1ms) == "+a ");
}

TEST_CASE("a child that never starts ends the supervisor", "[actor]") {
  bench b;
  b.refuse_start["b"] = 100;
  b.run({b.child("a"), b.child("b"), b.child("c")}, {.intensity = 2, .backoff_first = 1ms});
  b.look();
  CHECK(b.after(50ms) == "xb xb -c ~c -a ~a ");
  CHECK(b.ended.find("restart intensity exceeded") != std::string::npos);
}

TEST_CASE("a transient child is restarted after a failure only, a temporary one never", "[actor]") {
  bench b;
  b.run({b.child("a", restart::transient), b.child("b", restart::temporary), b.child("c", restart::transient)});
  b.look();
  b.tell("a", order::end);
  b.tell("b");
  b.tell("c", order::exit_with_error);
  CHECK(b.after(1s) == "~a ~b ~c +c ");
  b.stop();
  CHECK(b.look() == "-c ~c ");
}

TEST_CASE("timers of earlier incarnations do no harm", "[actor]") {
  bench b;
  b.stubborn["b"] = true;
  b.run({b.child("a"), b.child("b", restart::permanent, 1000ms)}, {.how = strategy::rest_for_one});
  b.look();
  b.tell("a");
  CHECK(b.after(10ms) == "~a -b ");
  b.tell("b");  // it fails while it is being stopped: both start, and its kill timer is still running
  CHECK(b.look() == "~b +a +b ");
  CHECK(b.after(5s) == "");
}

TEST_CASE("a child that fails while another is being restarted is restarted, too", "[actor]") {
  bench b;
  b.run({b.child("a"), b.child("b"), b.child("c")}, {.how = strategy::rest_for_one});
  b.look();
  b.tell("c");
  b.tell("a");
  CHECK(b.look() == "~c ~a ");
  b.after(50ms);
  b.look();
  b.stop();
  CHECK(b.look() == "-c ~c -b ~b -a ~a ");
}

TEST_CASE("a supervisor that is told to stop restarts nothing more", "[actor]") {
  bench b;
  b.stubborn["b"] = true;
  b.run({b.child("a"), b.child("b")});
  b.look();
  b.tell("a");
  b.stop();
  CHECK(b.after(50ms) == "~a -b ");
  CHECK(b.after(50ms) == "~b ");
  CHECK_FALSE(b.ended.empty());
}

TEST_CASE("the listener hears of starts, restarts and the end", "[actor]") {
  bench b;
  std::string heard;
  b.run({b.child("a")}, {.intensity = 1}, [&](const supervision_event& e) {
    heard += fmt::format("{} {} {}; ", e.child, e.what, e.wait.count());
  });
  b.tell("a");
  b.after(10ms);
  b.tell("a");
  CHECK(heard == "a started 0; a restarting 10; a started 0; a gave up 0; ");
}
