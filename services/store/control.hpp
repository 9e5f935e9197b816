#pragma once

#include "common/config/config.hpp"
#include "holdfast/v1/control.pb.h"

#include <functional>
#include <string>
#include <vector>

namespace holdfast::store {

using control_answer = std::function<void(const v1::ControlReply&)>;

/// What the store answers on its control endpoint: `view` has the links and all switches, `order` carries a command out
/// and answers it once that is kept. False: the request is another one.
bool answer_links(const std::vector<config::link>& links, const std::function<v1::LinksReply()>& view,
                  const std::function<void(const v1::LinkCommand&, const control_answer&)>& order,
                  const v1::ControlRequest& request, const control_answer& answer);

} // namespace holdfast::store
