// The words of the command line. Each add_... makes one subcommand; its callback leaves the work to be done in `job`.

#include "services/ctl/ctl.hpp"

#include "common/config/units.hpp"
#include "services/ctl/simulate.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <google/protobuf/stubs/common.h>

#include <functional>
#include <iostream>
#include <memory>

namespace holdfast::ctl {

namespace {

using job = std::function<int(const site_options&)>;

constexpr auto exit_codes = "Exit codes: 0 well; 1 there is an answer, and it is not a good one; 2 nobody answered;\n"
                            "64 wrong command line; 78 wrong or missing configuration.";

// A subcommand whose --help ends with an example.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& about, const std::string& examples) {
  auto* command = app.add_subcommand(name, about);
  command->footer(fmt::format("Example:\n{}\n\n{}", examples, exit_codes));
  return command;
}

CLI::Option* add_duration(CLI::App* to, const std::string& flags, milliseconds& value, const std::string& help) {
  const auto read = [&value](const std::string& text) {
    const auto parsed = config::parse_duration(text);
    if (!parsed)
      throw CLI::ValidationError(fmt::format("'{}' is not a duration such as 250ms, 5s or 2min", text));
    value = *parsed;
  };
  return to->add_option_function<std::string>(flags, read, fmt::format("{} (default {})", help, config::to_text(value)))
    ->type_name("DURATION");
}

template <class T>
CLI::Option* add_endpoint(CLI::App* to, const std::string& flags, T& value, const std::string& help) {
  const auto read = [&value](const std::string& text) {
    const auto parsed = config::parse_endpoint(text);
    if (!parsed)
      throw CLI::ValidationError(fmt::format("'{}' is not HOST:PORT", text));
    value = *parsed;
  };
  return to->add_option_function<std::string>(flags, read, help)->type_name("HOST:PORT");
}

void add_status(CLI::App& app, job& todo) {
  auto o = std::make_shared<status_options>();
  auto* c = add_command(app, "status",
                        "Ask every service how it is, or one. Exit code of all: 0 when each expected one answers \"running\", "
                        "else 1. Of one: 0 \"running\", 1 it answers otherwise (\"degraded: ...\"), 2 it does not answer.",
                        "  holdfastctl status\n  holdfastctl status uplink-main\n"
                        "  holdfastctl status --json | jq '.instances[] | {instance, state}'");
  c->add_option("instance", o->instance, "This one alone, as in the first column; also watchdog, collector")
    ->type_name("INSTANCE");
  c->add_flag("--json", o->json, "One JSON object, with every figure");
  c->add_flag("--all", o->all_figures, "Show every figure, not only the key ones");
  c->add_flag("--rates", o->rates, "Ask twice, a second apart, and show what the counters do in that time");
  add_duration(c, "--timeout", o->timeout, "Longest wait for an answer");
  c->callback([o, &todo] { todo = [o](auto& where) { return status(open_site(where), *o); }; });
}

void add_tap(CLI::App& app, job& todo) {
  auto o = std::make_shared<tap_options>();
  auto* c = add_command(app, "tap",
                        "Watch what the services publish, one line per message. Disturbs nobody: a slow tap loses its "
                        "own messages, and says so.",
                        "  holdfastctl tap --topic state. --topic alarm.\n"
                        "  holdfastctl tap --records --json | jq -c 'select(.stream == \"press-7/force\")'");
  c->add_option("--topic", o->topics, "Topics that begin with this; may be repeated. Default: everything but records")
    ->type_name("PREFIX")->allow_extra_args(false);
  c->add_flag("--records", o->records, "Each stored record, as it is stored");
  c->add_flag("--json", o->json, "JSON lines");
  c->add_option("--count", o->count, "Leave after so many messages")->type_name("N");
  c->add_option("--descriptors", o->descriptors,
                "Read payloads by this descriptor file (holdfast.fds of another release)")->type_name("FILE");
  c->callback([o, &todo] { todo = [o](auto& where) { return tap(open_site(where), *o); }; });
}

void add_restart(CLI::App& app, job& todo) {
  auto o = std::make_shared<restart_options>();
  auto* c = add_command(app, "restart", "Have the watchdog restart one service, and wait until it is back.",
                        "  holdfastctl restart uplink-main");
  c->add_option("instance", o->instance, "As in the first column of status")->required()->type_name("INSTANCE");
  add_duration(c, "--timeout", o->timeout, "Longest wait until it is back");
  c->callback([o, &todo] { todo = [o](auto& where) { return restart(open_site(where), *o); }; });
}

void add_log_level(CLI::App& app, job& todo) {
  struct options {
    std::string instance, level;
    milliseconds timeout{2000};
  };
  auto o = std::make_shared<options>();
  auto* c = add_command(app, "log-level", "Set what a running service logs, until it ends.",
                        "  holdfastctl log-level store debug");
  c->add_option("instance", o->instance, "As in the first column of status")->required()->type_name("INSTANCE");
  c->add_option("level", o->level, "Least serious message that is logged")->required()
    ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  add_duration(c, "--timeout", o->timeout, "Longest wait for an answer");
  c->callback([o, &todo] {
    todo = [o](auto& where) { return set_log_level(open_site(where), o->instance, o->level, o->timeout); };
  });
}

void add_links(CLI::App& app, job& todo) {
  auto o = std::make_shared<links_options>();
  auto* c = add_command(app, "links",
                        "Show the links as the store sees them: state and since when, round trip and its variation, "
                        "loss, breaker, bytes used of the budget, the classes it carries, and whether it is drained, "
                        "pinned or suppressed (it came and went too often). Below them the last switches, newest last; "
                        "GAP is how long the class stood still (-: not known yet). Exit code 1 when a destination has "
                        "no link that carries anything.",
                        "  holdfastctl links\n  holdfastctl links --switches 100\n"
                        "  holdfastctl links --json | jq '.links[] | {name, state, carries}'");
  c->add_flag("--json", o->json, "One JSON object, with every figure");
  c->add_option("--switches", o->switches, "The last so many switches; 0: all that are kept")->capture_default_str()
    ->type_name("N");
  add_duration(c, "--timeout", o->timeout, "Longest wait for an answer");
  c->callback([o, &todo] { todo = [o](auto& where) { return links(open_site(where), *o); }; });
}

void add_link(CLI::App& app, job& todo) {
  auto* link = add_command(app, "link", "Take a link out of service, or prefer it. Kept over restarts.",
                           "  holdfastctl link drain 5g && holdfastctl links");
  link->require_subcommand(1);
  const auto add = [&](const link_order& order, const std::string& about) {
    auto o = std::make_shared<link_order>(order);
    auto* c = add_command(*link, o->verb, about, fmt::format("  holdfastctl link {} 5g", o->verb));
    c->add_option("link", o->link, "As in the first column of links")->required()->type_name("NAME");
    add_duration(c, "--timeout", o->timeout, "Longest wait for an answer");
    c->callback([o, &todo] { todo = [o](auto& where) { return order_link(open_site(where), *o); }; });
  };
  add({"", v1::LinkCommand::WHAT_DRAIN, "drain", "drained"},
      "Give it nothing new; what is on its way may finish. Before work on the line or the modem.");
  add({"", v1::LinkCommand::WHAT_UNDRAIN, "undrain", "no longer drained"}, "Let it carry again, as its state allows.");
  add({"", v1::LinkCommand::WHAT_PIN, "pin", "pinned"},
      "Give it every class that it may carry, while it carries anything at all. Of a destination's links one at most "
      "is pinned: the last one that was.");
  add({"", v1::LinkCommand::WHAT_UNPIN, "unpin", "no longer pinned"}, "Choose by priority and cost again.");
}

void add_check(CLI::App& app, job& todo) {
  struct options {
    std::string file;
    bool schema = false;
  };
  auto o = std::make_shared<options>();
  auto* c = add_command(app, "check",
                        "Check a configuration without touching anything that runs: every problem as "
                        "FILE:LINE:COLUMN: text.",
                        "  holdfastctl check /etc/holdfast/holdfast.yaml\n"
                        "  holdfastctl check --schema > holdfast.schema.json");
  c->add_option("file", o->file, "Default: the one of --config")->type_name("FILE");
  c->add_flag("--schema", o->schema, "Print the JSON Schema of the file instead");
  c->callback([o, &todo] {
    todo = [o](auto& where) {
      return o->schema ? print_schema() : check(o->file.empty() ? where.config_file : o->file);
    };
  });
}

void add_endpoints(CLI::App& app, job& todo) {
  auto* c = add_command(app, "endpoints", "Show the endpoints of the bus and this gateway's addresses.",
                        "  holdfastctl endpoints");
  c->callback([&todo] { todo = [](auto& where) { return print_endpoints(open_site(where)); }; });
}

void add_store(CLI::App& app, job& todo) {
  struct options {
    std::string directory;
    bool json = false;
    std::string file;
    std::string into;
  };
  auto o = std::make_shared<options>();
  auto* store = add_command(app, "store", "Look into the store's file, beside the running store or without it.",
                            "  holdfastctl store stat\n  holdfastctl store verify --directory /var/lib/holdfast/store");
  store->require_subcommand(1);
  const auto directory = [&](CLI::App* c) {
    c->add_option("--directory,--dir", o->directory, "Default: the configuration's")->type_name("DIR");
  };
  auto* stat = add_command(*store, "stat", "Size, epoch, records per class, what each destination has confirmed.",
                           "  holdfastctl store stat --json");
  directory(stat);
  stat->add_flag("--json", o->json, "One JSON object");
  stat->callback([o, &todo] { todo = [o](auto& where) { return store_stat(where, o->directory, o->json); }; });
  auto* verify = add_command(*store, "verify", "Read every batch and check its checksum, header and numbers.",
                             "  holdfastctl store verify && echo sound");
  directory(verify);
  verify->callback([o, &todo] { todo = [o](auto& where) { return store_verify(where, o->directory); }; });
  auto* salvage = add_command(*store, "salvage", "Read what can be read of a damaged file, which is not changed; tell what is lost.",
                              "  holdfastctl store salvage /var/lib/holdfast/store/data.mdb.damaged-1700000000\n"
                              "  holdfastctl store salvage FILE --into /var/lib/holdfast/salvaged");
  salvage->add_option("file", o->file, "Set aside by a store, or of one that is stopped")->type_name("FILE")->required();
  salvage->add_option("--into", o->into, "A new directory: becomes a store that can be run")->type_name("DIR");
  salvage->callback([o, &todo] { todo = [o](auto&) { return store_salvage(o->file, o->into); }; });
}

void add_collector(CLI::App& app, job& todo) {
  auto o = std::make_shared<dump_request>();
  auto* collector = add_command(app, "collector", "Read what a collector has received.",
                                "  holdfastctl collector dump --directory /var/lib/holdfast/collector");
  collector->require_subcommand(1);
  auto* c = add_command(*collector, "dump", "Print the records as JSON lines, each once.",
                        "  holdfastctl collector dump --stream press-7/force | jq .value\n"
                        "  holdfastctl collector dump --follow --order arrival");
  c->add_option("--directory,--dir", o->directory, "Default: the configuration's")->type_name("DIR");
  c->add_flag("--follow", o->follow, "Go on with what arrives");
  auto order = [o](const std::string& text) { o->arrival_order = text == "arrival"; };
  c->add_option_function<std::string>("--order", order,
                                      "seq: each class in order of seq (default); arrival: as it came")
    ->check(CLI::IsMember({"seq", "arrival"}));
  c->add_option("--gateway", o->gateway, "Only this gateway")->type_name("NAME");
  c->add_option("--stream", o->stream, "Only this stream")->type_name("NAME");
  c->add_flag("--stats", o->stats_only, "Only count");
  c->callback([o, &todo] { todo = [o](auto& where) { return collector_dump(where, *o); }; });
}

void add_simulate(CLI::App& app, job& todo) {
  auto o = std::make_shared<simulate_options>();
  auto seconds = std::make_shared<milliseconds>(o->duration);
  auto* c = add_command(app, "simulate",
                        "Play a plant: units on Modbus TCP to be polled, and a device that sends numbered lines.",
                        "  holdfastctl simulate --modbus 127.0.0.1:5020 --units 3 --lines-to 127.0.0.1:6001 --confirm\n"
                        "  holdfastctl simulate --lines-to 127.0.0.1:6001 --rate 0 --total 1000000");
  add_endpoint(c, "--modbus", o->modbus_listen, "Serve Modbus TCP here; without: no Modbus");
  c->add_option("--units", o->units, "Modbus units, numbered from 1")->capture_default_str()->type_name("N");
  add_endpoint(c, "--lines-to", o->lines_to, "Send lines to this tcp-server source; without: no lines");
  c->add_option("--rate", o->lines_per_second, "Lines per second; 0: as fast as they are taken")->capture_default_str()
    ->check(CLI::NonNegativeNumber);
  c->add_option("--total", o->lines_total, "Leave after so many lines; 0: never")->capture_default_str();
  c->add_option("--line-bytes", o->line_bytes, "Length of a line")->capture_default_str()->type_name("BYTES");
  c->add_flag("--confirm", o->confirm,
              "Keep each line until the source has confirmed it (a source with confirm: count)");
  add_duration(c, "--duration", *seconds, "Leave after this long; 0: at a signal");
  c->add_flag("--quiet", o->quiet, "Say nothing but the last line");
  c->callback([o, seconds, &todo] {
    o->duration = std::chrono::ceil<std::chrono::seconds>(*seconds);
    todo = [o](auto&) { return simulate(*o); };
  });
}

int complain(int code, const std::string& text) {
  std::cout.flush();
  fmt::print(stderr, "holdfastctl: {}\n", text);
  return code;
}

} // namespace

int run(int argc, char** argv) {
  GOOGLE_PROTOBUF_VERIFY_VERSION;
  CLI::App app{"Look at a holdfast gateway and steer it.", "holdfastctl"};
  app.footer(fmt::format("holdfastctl COMMAND --help tells more, with examples.\n\n{}", exit_codes));
  app.set_version_flag("--version", HOLDFAST_VERSION);
  app.require_subcommand(1);
  app.fallthrough();  // --config may stand behind the command as well
  site_options where{"/etc/holdfast/holdfast.yaml", false, ""};
  auto* file = app.add_option("--config", where.config_file, "The gateway's YAML file")->envname("HOLDFAST_CONFIG")
                 ->capture_default_str()->type_name("FILE");
  app.add_option("--run-directory", where.run_directory,
                 "Directory of the services' sockets; default: the configuration's")->type_name("DIR");
  job todo;
  for (auto add : {add_status, add_links, add_link, add_tap, add_restart, add_log_level, add_check, add_endpoints,
                   add_store, add_collector, add_simulate})
    add(app, todo);
  try {
    app.parse(argc, argv);
    where.config_named = file->count() != 0;
    return todo(where);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? ok : usage;
  } catch (const failure& e) {
    return complain(e.code, e.what());
  } catch (const std::exception& e) {
    return complain(unreachable, e.what());
  }
}

} // namespace holdfast::ctl
