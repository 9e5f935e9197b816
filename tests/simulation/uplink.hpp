#pragma once

// An uplink's process: the cores link_watch, reconnect, heartbeat and greeting in a thin shell that follows
// services/uplink/session_actor.cpp, session_destination.cpp, session_link.cpp and knock.cpp. Left out: TLS, names, the
// kernel's news of carrier and route, figures.

#include "common/core/greeting.hpp"
#include "services/uplink/heartbeat.hpp"
#include "services/uplink/link_watch.hpp"
#include "services/uplink/order.hpp"
#include "services/uplink/patron.hpp"
#include "services/uplink/reconnect.hpp"
#include "tests/simulation/site.hpp"

#include <memory>
#include <optional>

namespace holdfast::simulation {

class uplink_process : public process {
public:
  uplink_process(site& s, std::size_t number);
  static uplink_process& of(site& s, const std::string& link);

  std::unique_ptr<bus_link> bus;
  void connect_bus();

  // From the store.
  void on_welcome(std::uint64_t session, std::uint64_t epoch, std::uint64_t life);
  void on_dispatch(std::uint64_t session, std::uint64_t connection, const wire& m);
  void on_order(std::uint64_t session, bool connect);
  void on_refusal(std::uint64_t session, v1::LinkRefusal::Reason why);
  std::uint64_t session() const noexcept { return me_ ? me_->id : 0; }

protected:
  void boot() override;
  void end() override;

private:
  // One life.
  struct state {
    explicit state(const config::link& l)
        : retry(l.reconnect), life(l.heartbeat_interval, l.heartbeat_timeout), watch(l) {}
    std::uint64_t id = 0;
    uplink::reconnect retry;
    uplink::heartbeat life;
    uplink::link_watch watch;
    greeting hello;
    uplink::order order;
    uplink::patron store;
    bool store_reachable = false, established = false, opened = false;
    bool knocking = false;
    std::uint64_t knocks = 0;
    std::uint64_t attempt = 0, outstanding = 0;
    std::shared_ptr<connection> line;
    time_point opened_at{}, progress{}, reported{};
    std::optional<time_point> armed;
    std::optional<wire> held_back;             // defect::batches_swapped
    std::map<std::string, std::uint64_t> bytes_out;  // on its way, by class and first: for the window
    std::uint64_t in_flight = 0;
  };

  const config::link& link() const { return site_.config.links[number_]; }
  void to_store(std::function<void()> what) { bus->to_server(std::move(what)); }
  void on_store_there(bool yes);
  void say_hello();
  void connect();
  void on_opened(std::uint64_t attempt);
  void on_peer(std::uint64_t attempt, const wire& m);
  void on_peer_welcome(const wire& m);
  void on_ack(const wire& m);
  void on_rejected(const wire& m);
  void acknowledged(std::uint64_t records);
  void on_ended(std::uint64_t attempt, const std::string& why);
  void drop(const std::string& why);
  void forget_line(const std::string& why);
  void tick();
  void watched();
  void look();
  void report();
  void rest_if_done();
  void ping(std::uint64_t id);
  void give_up();
  void knock(bool yes);
  void wait_to_knock();
  void on_knocked();

  site& site_;
  std::size_t number_;
  std::unique_ptr<state> me_;
};

} // namespace holdfast::simulation
