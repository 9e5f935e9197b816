#include "common/bus/endpoints.hpp"

#include <fmt/format.h>

namespace holdfast::bus {

namespace {
constexpr std::string_view per_instance = "<instance>";
} // namespace

std::string file_name(const endpoint_info& endpoint, std::string_view instance) {
  const auto at = endpoint.name.find(per_instance);
  return at == std::string_view::npos ? fmt::format("{}.sock", endpoint.name)
                                      : fmt::format("{}{}.sock", endpoint.name.substr(0, at), instance);
}

std::string address(std::string_view run_directory, std::string_view name) {
  return fmt::format("ipc://{}/{}.sock", run_directory, name);
}

} // namespace holdfast::bus
