#include "services/store/control.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace holdfast::store {

namespace {

/// Why no link can be told this; empty: one can.
std::string problem(const std::vector<config::link>& links, const v1::LinkCommand& c) {
  if (std::none_of(links.begin(), links.end(), [&](auto& l) { return l.name == c.link(); })) {
    std::vector<std::string> names;
    for (auto& l : links)
      names.push_back(l.name);
    return fmt::format("failed to command link '{}': there is {}", c.link(),
                       names.empty() ? "no link" : fmt::format("{}", fmt::join(names, ", ")));
  }
  if (c.what() == v1::LinkCommand::WHAT_UNSPECIFIED || !v1::LinkCommand::What_IsValid(c.what()))
    return fmt::format("failed to command link '{}': drain, undrain, pin or unpin", c.link());
  return {};
}

} // namespace

bool answer_links(const std::vector<config::link>& links, const std::function<v1::LinksReply()>& view,
                  const std::function<void(const v1::LinkCommand&, const control_answer&)>& order,
                  const v1::ControlRequest& request, const control_answer& answer) {
  v1::ControlReply reply;
  if (request.has_link()) {
    reply.set_error(problem(links, request.link()));
    reply.error().empty() ? order(request.link(), answer) : answer(reply);
    return true;
  }
  if (!request.has_links())
    return false;
  *reply.mutable_links() = view();
  if (reply.links().links().empty() && !links.empty()) {
    reply.clear_links();
    reply.set_error("failed to tell of the links: the store is starting");
    answer(reply);
    return true;
  }
  auto& switches = *reply.mutable_links()->mutable_switches();
  const auto most = static_cast<int>(std::min<std::uint32_t>(request.links().switches(), INT32_MAX));
  if (most > 0 && switches.size() > most)
    switches.DeleteSubrange(0, switches.size() - most);
  reply.set_ok(true);
  answer(reply);
  return true;
}

} // namespace holdfast::store
