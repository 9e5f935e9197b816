#pragma once

// The inside of SESSION; for its own sources only. session_actor.cpp has its life and the store's side,
// session_destination.cpp the destination's side, session_link.cpp what lies between: the link.

#include "services/uplink/connection.hpp"
#include "services/uplink/heartbeat.hpp"
#include "services/uplink/knock.hpp"
#include "services/uplink/link_figures.hpp"
#include "services/uplink/link_watch.hpp"
#include "services/uplink/order.hpp"
#include "services/uplink/patron.hpp"
#include "services/uplink/reconnect.hpp"
#include "services/uplink/uplink.hpp"

#include "common/core/greeting.hpp"
#include "common/core/time.hpp"
#include "holdfast/v1/dispatch.pb.h"
#include "holdfast/v1/wire.pb.h"

#include <optional>
#include <random>

namespace boost::asio::ssl {
class context;
}

namespace holdfast::uplink {

struct session_state {
  static inline const char* name = "SESSION";

  caf::stateful_actor<session_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<pulse::loop> beat;
  std::shared_ptr<boost::asio::ssl::context> tls;
  std::unique_ptr<uplink::reconnect> retry;
  std::unique_ptr<heartbeat> life;
  std::unique_ptr<link_watch> watch;
  std::unique_ptr<link_figures> figures;
  std::shared_ptr<net::kernel_watch> kernel;
  std::shared_ptr<knock> door;
  std::mt19937_64 chance{std::random_device{}()};

  std::uint64_t id = random_id();      // of this SESSION's life, known to the store
  patron store;
  greeting hello;
  bool store_reachable = false;        // the bus is connected to it

  std::uint64_t attempt = 0;
  std::shared_ptr<connection> line;    // null: none, and none under way
  std::string peer;
  std::string collector;               // what the destination calls itself
  bool established = false;            // the destination has welcomed us
  std::uint64_t max_frame = 0;
  std::uint64_t outstanding = 0;       // records sent in this session and not acknowledged
  heartbeat::clock::time_point progress{};  // an acknowledgement came, or the first record went after none were out

  std::optional<heartbeat::clock::time_point> armed;  // when the watch's timer comes
  heartbeat::clock::time_point reported{};
  std::uint64_t session_count = 0;     // that were established
  uplink::order order;
  bool path_there = true;              // the kernel says: carrier and route

  ~session_state() {
    if (line)
      line->close("uplink stops");
    if (kernel)
      kernel->stop();
    if (door)
      door->stop();
  }

  const config::link& link() const { return ctx->link; }
  void state(const std::string& what, const std::string& detail, bool healthy = true) {
    ctx->rt.set_state("link:" + link().name, what, detail, healthy);
  }

  void open();
  void to_store(const v1::LinkMessage& m) { ctx->rt.bus().send(ctx->store, {{}, {blob(m.SerializeAsString())}}); }
  void on_store_there(bool yes);
  void say_hello();
  void on_store(const from_store& m);
  void on_welcome(const v1::LinkWelcome& w);
  void on_dispatch(const v1::Dispatch& d, const blob& payload);
  void on_refusal(const v1::LinkRefusal& r);
  void ready(const v1::WireWelcome& w);
  void ask_store();
  void connect();
  void wait_for_breaker();
  void on_opened(const opened& o);
  void on_peer(const from_peer& p);
  void on_peer_welcome(const v1::WireWelcome& w);
  void on_ack(const v1::WireAck& a);
  void on_rejected(v1::Rejected r);
  void acknowledged(std::uint64_t records);
  void on_ended(const ended& e);
  void drop(const std::string& why, bool its_fault = true);
  void forget_line(const std::string& why);
  void on_tick();

  void open_watch();
  void describe_session();
  void ping_if_silent();
  void ping(std::uint64_t ping_id);
  void look();
  void give_up();
  void watched();
  void on_watch_due(const watch_due& d);
  void report();
  void report_if_due();
  void on_order(const v1::LinkOrder& o);
  void rest_if_done();
  void on_kernel(const kernel_said& k);
  void on_knocked();
};

} // namespace holdfast::uplink
