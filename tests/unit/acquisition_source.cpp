// SOURCE at its end: what it owes is told before it goes.

#include "acquisition_intake.hpp"

#include "holdfast/v1/ingest.pb.h"
#include "services/acquisition/source_state.hpp"

#include <catch2/catch.hpp>

using namespace holdfast;

namespace {

/// A UDP source with a window of one batch. The test is its store, and brings the datagrams itself.
struct bench {
  test::temporary_directory dir;
  test::actor_world w;
  service::runtime rt{"acquisition", "acquisition", test::source::in(dir.path("run")), w.system()};
  std::shared_ptr<acquisition::context> ctx{new acquisition::context{rt}};
  std::shared_ptr<actor::slot> slot = std::make_shared<actor::slot>();
  caf::actor source;
  bool gone = false;

  bench() {
    config::source s;
    s.name = "camera";
    s.window = {1};
    s.kind = config::udp_server_source{.listen = {.host = "127.0.0.1", .port = 0}};
    ctx->sources[acquisition::producer_name(s)] = slot;
    source = acquisition::spawn_source(w.system(), ctx, s);
    source->attach_functor([this](const caf::error&) { gone = true; });
    w.run();
    give(acquisition::store_there{true});
    auto m = std::make_shared<v1::StoreMessage>();
    m->mutable_welcome()->set_session(state().session);
    m->mutable_welcome()->set_window_bytes(1 << 20);
    give(acquisition::from_store{m});
  }
  ~bench() {
    caf::anon_send_exit(source, caf::exit_reason::kill);
    w.run();
    source = nullptr;
    slot->set(nullptr);
    for (int n = 0; n < 2; ++n)  // its intake ends, and says so
      rt.io().run_and_wait([] {});
  }
  template <class Message> void give(Message m) {
    slot->send(std::move(m));
    w.run();
  }
  void give_datagram() { give(acquisition::datagram{acquisition::now(), blob(std::string("x")), "peer"}); }
  void acknowledge(std::uint64_t seq) {
    auto m = std::make_shared<v1::StoreMessage>();
    m->mutable_ack()->set_session(state().session);
    m->mutable_ack()->set_last_seq(seq);
    m->mutable_ack()->set_window_bytes(1 << 20);
    give(acquisition::from_store{m});
  }
  /// Meanwhile its intake has not stopped; then it has.
  void stop(const std::function<void()>& meanwhile = [] {}) {
    rt.io().run_and_wait([&] {
      caf::anon_send_exit(source, caf::exit_reason::user_shutdown);
      w.run();
      meanwhile();
    });
    for (int turn = 0; turn < 100 && !gone && !state().heard_all; ++turn) {  // what handlers post may come behind a turn
      rt.io().run_and_wait([] {});
      w.run();
    }
  }
  acquisition::source_state& state() {
    REQUIRE_FALSE(gone);
    auto* a = caf::actor_cast<caf::abstract_actor*>(source);
    return dynamic_cast<caf::stateful_actor<acquisition::source_state>&>(*a).state;
  }
};

} // namespace

TEST_CASE("a source that stops with a full window tells the gap it owes before it goes", "[acquisition]") {
  bench b;
  for (int n = 0; n < 5001; ++n)
    b.give_datagram();
  CHECK(b.state().records->figures().dropped == 5000);
  b.stop();
  CHECK(b.state().records->owes_gaps());
  b.acknowledge(1);
  CHECK_FALSE(b.state().records->owes_gaps());
  CHECK(b.state().store->kept_records() == 1);  // the gap
  b.acknowledge(2);
  CHECK(b.gone);
}

TEST_CASE("a source that stops takes what its intake had read, however little the store has to do", "[acquisition]") {
  bench b;
  bool left_early = true;
  b.stop([&] {
    left_early = b.gone;
    b.give_datagram();
    b.give(acquisition::unheard{7});
  });
  REQUIRE_FALSE(left_early);
  CHECK(b.state().records->figures().records == 1);
  CHECK(b.state().records->figures().dropped == 7);
  b.acknowledge(1);
  CHECK_FALSE(b.gone);
  b.acknowledge(2);
  CHECK(b.gone);
}
