#include "common/bus/endpoints.hpp"

#include <fmt/format.h>

namespace holdfast::bus {

std::string address(std::string_view run_directory, std::string_view name) {
  return fmt::format("ipc://{}/{}.sock", run_directory, name);
}

} // namespace holdfast::bus
