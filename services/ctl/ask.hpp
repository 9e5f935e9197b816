#pragma once

// Questions to control.<instance>, with a deadline.

#include "holdfast/v1/control.pb.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::ctl {

struct answer {
  std::string instance;
  std::optional<v1::ControlReply> reply;
  std::chrono::microseconds round_trip{0};
  std::string error;  ///< why there is no reply
};

/// Asks all instances at the same time and returns when each has answered or the time is over; answers in the order of
/// `instances`. An instance without a socket file costs no waiting.
std::vector<answer> ask(const std::string& run_directory, const std::vector<std::string>& instances,
                        v1::ControlRequest request, std::chrono::milliseconds timeout);

/// The same for one.
answer ask(const std::string& run_directory, const std::string& instance, v1::ControlRequest request,
           std::chrono::milliseconds timeout);

v1::ControlRequest status_request();

} // namespace holdfast::ctl
