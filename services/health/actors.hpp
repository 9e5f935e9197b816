#pragma once

// Messages between MONITOR and WEB. Included by sources only: it pulls in CAF.

#include "services/health/fleet.hpp"

#include <caf/all.hpp>

namespace holdfast::health {

struct want_picture {};                      ///< WEB -> MONITOR
struct have_picture { picture_ptr value; };  ///< MONITOR -> WEB

} // namespace holdfast::health

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::health::want_picture)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::health::have_picture)
