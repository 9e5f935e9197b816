// store and collector: what lies on disk. The services' own libraries do the reading; here is only the way there.

#include "services/ctl/ctl.hpp"
#include "services/ctl/output.hpp"

#include "services/collector/dump.hpp"
#include "services/store/inspect.hpp"
#include "services/store/salvage.hpp"

#include <unistd.h>

#include <iostream>

namespace holdfast::ctl {

namespace {

std::string store_directory(const site_options& where, std::string directory) {
  return directory.empty() ? open_site(where).config.store.directory : directory;
}

std::string collector_directory(const site_options& where, const std::string& directory) {
  if (!directory.empty())
    return directory;
  const auto site = open_site(where);
  if (!site.config.collector)
    throw failure(bad_configuration, "the configuration has no collector: name its directory with --directory");
  return site.config.collector->directory;
}

} // namespace

int store_stat(const site_options& where, std::string directory, bool json) {
  return store::stat(store_directory(where, std::move(directory)), json, std::cout);
}

int store_verify(const site_options& where, std::string directory) {
  return store::verify(store_directory(where, std::move(directory)), std::cout);
}

int store_salvage(const std::string& file, const std::string& into) { return store::salvage(file, into, std::cout); }

int collector_dump(const site_options& where, const dump_request& request) {
  take_signals();
  collector::dump_options options;
  options.directory = collector_directory(where, request.directory);
  options.follow = request.follow;
  options.arrival_order = request.arrival_order;
  options.gateway = request.gateway;
  options.stream = request.stream;
  options.stats_only = request.stats_only;
  options.stop = stop_requested;
  line_output out(STDOUT_FILENO);
  const auto code = collector::dump(options, [&](std::string_view lines) { return out.write(lines) && out.flush(); });
  if (!out.error().empty())
    throw failure(unreachable, "failed to write output: " + out.error());
  return code;
}

} // namespace holdfast::ctl
