#pragma once

// Included by actor sources only: it pulls in CAF.

#include "common/telemetry/log.hpp"

#include <caf/all.hpp>

#include <exception>
#include <string>

namespace holdfast::actor {

/// The three handlers every long-lived actor starts with. Without them an error reply kills the receiver, an exception
/// prints to standard output, and so does an unmatched message.
template <class Self> void guard(Self* self, std::string name) {
  self->set_error_handler([name](caf::error& e) {
    log::warn("bounced message actor={} code={}", name, static_cast<int>(e.code()));
  });
  self->set_exception_handler([name](caf::scheduled_actor*, std::exception_ptr& p) -> caf::error {
    try {
      std::rethrow_exception(p);
    } catch (const std::exception& e) {
      log::error("component failed actor={} cause=\"{}\"", name, e.what());
    } catch (...) {
      log::error("component failed actor={} cause=\"unknown exception\"", name);
    }
    return caf::make_error(caf::sec::runtime_error);
  });
  self->set_default_handler([name](caf::scheduled_actor*, caf::message_view&) -> caf::result<caf::message> {
    log::warn("unexpected message actor={}", name);
    return caf::sec::unexpected_message;
  });
}

} // namespace holdfast::actor
