#include "common/net/kernel_view.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace holdfast::net {

using kind = netlink_event::kind;

void kernel_view::toward(const boost::asio::ip::address& to, const std::optional<boost::asio::ip::address>& from) {
  to_ = to;
  from_ = from;
  ask_route_ = true;
}

void kernel_view::missed() {
  ask_link_ = !interface_.empty() || index_ != 0;
  ask_route_ = to_.has_value();
}

std::vector<std::string> kernel_view::questions() {
  std::vector<std::string> out;
  if (std::exchange(ask_link_, false))
    out.push_back(link_question(interface_, index_, link_asked_ = ++sequence_));
  // An interface that is not there has no routes, and index 0 would ask for any.
  const bool nowhere = !interface_.empty() && index_ == 0;
  if (!nowhere && std::exchange(ask_route_, false))
    out.push_back(route_question(*to_, from_, interface_.empty() ? 0 : index_, route_asked_ = ++sequence_));
  return out;
}

void kernel_view::take(const std::vector<netlink_event>& events, std::uint32_t own_port) {
  for (auto& e : events) {
    const bool answer = e.port == own_port;
    if (e.what == kind::link || e.what == kind::link_gone)
      take_link(e);
    else if (answer && e.what == kind::refusal)
      take_refusal(e);
    else if (answer && e.what == kind::route)
      take_answer(e);
    else
      ask_route_ = to_.has_value();
  }
}

void kernel_view::set_carrier(bool present, const std::string& name) {
  now_.carrier = present;
  now_.detail = fmt::format("{} {}", name, present ? "has carrier" : "has no carrier");
}

void kernel_view::take_link(const netlink_event& e) {
  const bool mine = interface_.empty() ? index_ != 0 && e.interface == index_ : e.name == interface_;
  if (!mine)
    return;
  const auto was = index_;
  index_ = e.what == kind::link ? e.interface : 0;
  if (e.carrier != now_.carrier || index_ != was)
    ask_route_ = to_.has_value();  // the kernel drops routes with their interface, and does not tell of each
  set_carrier(e.carrier, e.name);
}

void kernel_view::take_answer(const netlink_event& e) {
  if (e.sequence != route_asked_)
    return;
  if (!std::exchange(now_.route, true))
    now_.detail = fmt::format("a route to {} is there", to_->to_string());
  if (!interface_.empty() || e.interface == index_)
    return;
  index_ = e.interface;
  ask_link_ = index_ != 0;
}

void kernel_view::take_refusal(const netlink_event& e) {
  if (e.sequence == link_asked_ && e.error == ENODEV) {
    index_ = 0;
    return set_carrier(false, interface_.empty() ? "the route's interface" : interface_);
  }
  // Only what surely means that nothing can go there: a wrong no would take a working link down. EINVAL is the kernel's
  // word for an own address that it does not have.
  const bool nowhere = e.error == ENETUNREACH || e.error == EHOSTUNREACH || e.error == EACCES;
  if (e.sequence != route_asked_ || (!nowhere && !(from_ && e.error == EINVAL)))
    return;
  now_.route = false;
  now_.detail = fmt::format("no route to {}{}: {}", to_->to_string(), from_ ? " from " + from_->to_string() : "",
                            std::strerror(e.error));
}

} // namespace holdfast::net
