#include "services/health/listener.hpp"

#include "common/bus/endpoints.hpp"
#include "holdfast/v1/control.pb.h"

#include <sys/stat.h>

namespace holdfast::health {

namespace {

constexpr int event_queue = 1000;  // for each publisher
constexpr int control_queue = 4;
constexpr std::uint64_t status_deadline_millis = 2000;

auto into(const std::shared_ptr<inbox>& box, inbox::kind what) {
  return [box, what](bus::message&& m) { box->put({what, std::move(m.parts)}); };
}

} // namespace

listener::listener(bus::loop& loop, std::string run_directory, std::vector<fleet::member> members, bus::loop::socket tap,
                   const std::shared_ptr<inbox>& box)
    : loop_(loop), run_directory_(std::move(run_directory)), absent_(std::move(members)), tap_(tap) {
  bus::socket_options events;
  events.kind = bus::socket_kind::sub;
  events.name = "events of all";
  events.subscribe = {"heartbeat.", "metrics.", "state.", "alarm.", "process."};
  events.queue = event_queue;
  events.max_message = max_message;
  events_ = loop_.open(std::move(events), into(box, inbox::kind::event));
  bus::socket_options control;
  control.kind = bus::socket_kind::dealer;
  control.name = "control of all";
  control.identity = "health";
  control.queue = control_queue;
  control.max_message = max_message;
  controls_ = loop_.open(std::move(control), into(box, inbox::kind::status));
}

bool listener::exists(const std::string& endpoint) const {
  constexpr std::string_view scheme = "ipc://";
  const auto address = bus::address(run_directory_, endpoint);
  struct ::stat s {};
  return !address.starts_with(scheme) || ::stat(address.c_str() + scheme.size(), &s) == 0;
}

void listener::look() {
  std::erase_if(absent_, [this](auto& m) {
    if (!exists("events." + m.name) || !exists("control." + m.name))
      return false;
    connect(m);
    return true;
  });
}

void listener::connect(const fleet::member& m) {
  loop_.connect(tap_, bus::address(run_directory_, "events." + m.name));
  if (m.self)
    return;
  loop_.connect(events_, bus::address(run_directory_, "events." + m.name));
  loop_.connect(controls_, bus::address(run_directory_, "control." + m.name));
  ++connected_;
}

void listener::ask(const std::shared_ptr<listener>& l) {
  l->loop_.post([l] { l->send_requests(); });
}

// A DEALER deals its messages round to the peers that are there: as many requests as peers reach each of them once. Where
// one is missing another is asked twice, and the missing one when it is back.
void listener::send_requests() {
  for (std::size_t n = 0; n < connected_; ++n) {
    v1::ControlRequest request;
    request.set_id(++requests_);
    request.set_deadline_millis(status_deadline_millis);
    request.mutable_status();
    loop_.send(controls_, {{}, {blob(request.SerializeAsString())}});
  }
}

} // namespace holdfast::health
