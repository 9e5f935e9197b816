#pragma once

// What `holdfastctl links` makes of the store's answer.

#include "services/ctl/ctl.hpp"

#include "holdfast/v1/control.pb.h"

#include <string>

namespace holdfast::ctl {

/// Whether each destination, the store's and the configuration's, has a link that carries something.
bool well(const v1::LinksReply& reply, const config::gateway& configured);

/// For people: the links, and below them the switches. The limits of byte budgets are the configuration's; a link that
/// is not in it shows only what it used. Columns that nobody fills are left out.
std::string to_table(const v1::LinksReply& reply, const config::gateway& configured);
/// One JSON object in one line; its keys are the fields of the contract (control.proto, dispatch.proto, events.proto).
std::string to_json(const v1::LinksReply& reply, const config::gateway& configured);

} // namespace holdfast::ctl
