// links, and link drain|undrain|pin|unpin: what the store says of its links, and what an operator wants of one.

#include "services/ctl/ask.hpp"
#include "services/ctl/ctl.hpp"
#include "services/ctl/links_report.hpp"
#include "services/ctl/output.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::ctl {

namespace {

constexpr auto who = "store";  // its DISPATCHER knows and decides what each link carries

v1::ControlReply ask_store(const site& where, const v1::ControlRequest& request, milliseconds timeout,
                           const std::string& task) {
  auto a = ask(where.run_directory, who, request, timeout);
  if (!a.reply)
    throw failure(unreachable, fmt::format("failed to {}: {}: {}", task, who, a.error));
  if (!a.reply->ok())
    throw failure(not_well, plain(a.reply->error()));  // says what failed by itself
  return std::move(*a.reply);
}

} // namespace

int links(const site& where, const links_options& options) {
  v1::ControlRequest request;
  request.mutable_links()->set_switches(options.switches);
  const auto reply = ask_store(where, request, options.timeout, "ask for the links");
  line_output out(STDOUT_FILENO);
  out.write(options.json ? to_json(reply.links(), where.config) : to_table(reply.links(), where.config));
  return well(reply.links(), where.config) ? ok : not_well;
}

int order_link(const site& where, const link_order& order) {
  v1::ControlRequest request;
  request.mutable_link()->set_link(order.link);
  request.mutable_link()->set_what(order.what);
  ask_store(where, request, order.timeout, fmt::format("{} {}", order.verb, order.link));
  fmt::print("{}: {}\n", order.link, order.done);
  return ok;
}

} // namespace holdfast::ctl
