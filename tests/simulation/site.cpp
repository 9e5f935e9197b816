#include "tests/simulation/site.hpp"

#include "tests/simulation/collector.hpp"
#include "tests/simulation/keeper.hpp"
#include "tests/simulation/source.hpp"
#include "tests/simulation/store.hpp"
#include "tests/simulation/uplink.hpp"

#include <algorithm>

namespace holdfast::simulation {

using namespace std::chrono_literals;

site::site(std::uint64_t seed, defect d, bool tracing, std::vector<fault> faults)
    : w(seed, d, tracing), schedule(std::move(faults)) {
  dice chance(seed);
  configure(chance);
  build();
}

site::~site() {
  for (auto& c : collectors)
    c->watchers.clear();
}

// -- what differs from seed to seed -----------------------------------------------------------------------------------

void site::configure(dice& d) {
  config.name = "gateway";
  config.classes = {{"critical", 10, {}, d.yes(0.5)}, {"telemetry", 100}};
  config.destinations = {{"north", {}}};
  if (d.yes(0.25))
    config.destinations.push_back({"south", {"telemetry"}});
  if (d.yes(0.5)) {
    config::record_class bulk{.name = "bulk", .priority = 200, .duplicate = d.yes(0.3)};
    bulk.overflow = d.yes(0.5) ? config::overflow_rule::drop_oldest : config::overflow_rule::thin;
    bulk.quota = config::bytes{d.yes(0.3) ? 0U : d.yes(0.5) ? 3'000U : 25'000U};
    bulk.ttl = d.yes(0.5) ? std::chrono::milliseconds(2000 + d.below(8000)) : 0ms;
    config.classes.push_back(bulk);
    if (config.destinations.size() > 1 && d.yes(0.7))
      config.destinations.back().classes.push_back("bulk");
  }
  const link::profile profiles[] = {link::fibre(), link::five_g(), link::satellite()};
  const duration delays[] = {2ms, 25ms, 270ms};
  const double rates[] = {10e6, 1e6, 64e3};
  const auto add = [&](const std::string& name, const std::string& destination, std::size_t kind, unsigned priority) {
    config::link l{.name = name, .destination = destination};
    l.tuning = profiles[kind];
    l.profile = std::string(profiles[kind].name);
    l.priority = priority;
    l.window = config::kib(d.yes(0.5) ? 4 : 256);
    config.links.push_back(l);
    paths.push_back(std::make_unique<path>(path{w, name, delays[kind], delays[kind] / 4, rates[kind]}));
  };
  const auto first = d.below(3);
  const auto count = 1 + d.below(3);
  for (std::size_t i = 0; i < count; ++i)
    add(std::string("abc").substr(i, 1), "north", std::min<std::size_t>(first + i, 2), static_cast<unsigned>(i) * 10);
  if (config.destinations.size() > 1)
    add("s", "south", d.below(2), 0);
  const auto source = [&](const std::string& name, const std::string& record_class, bool repeats) {
    config::source s{.name = name, .record_class = record_class, .stream = name};
    s.batch.records = 1 + static_cast<unsigned>(d.below(20));
    s.window = config::bytes{repeats ? 64'000U : 300U + d.below(3000)};
    if (repeats)
      s.kind = config::tcp_server_source{.confirm = config::confirm_kind::count};
    else
      s.kind = config::udp_server_source{};
    config.sources.push_back(s);
  };
  source("press", "telemetry", true);
  source("drill", d.yes(0.5) ? "telemetry" : "critical", false);
  if (d.yes(0.5))
    source("alarm", "critical", true);
  if (config.classes.size() > 2)
    source("camera", "bulk", true);
  config.store.quota = config::bytes{d.yes(0.2) ? 20'000U : 10'000'000U};
  config.store.producer_window = config::bytes{d.yes(0.3) ? 500U : 60'000U};
  config.store.live_cache = config::bytes{d.yes(0.3) ? 500U : 100'000U};
}

void site::build() {
  for (auto& d : config.destinations) {
    std::set<std::string> wants(d.classes.begin(), d.classes.end());
    if (wants.empty())
      for (auto& c : config.classes)
        wants.insert(c.name);
    model.destination(d.name, wants);
    collectors.push_back(std::make_unique<collector_process>(*this, d.name));
  }
  for (auto& s : config.sources)
    model.stream(s.stream, {std::holds_alternative<config::tcp_server_source>(s.kind)});
  for (auto& c : config.classes)
    model.record_class(c.name, {c.overflow != config::overflow_rule::reject, c.ttl});
  store = std::make_unique<store_process>(*this);
  processes.push_back(store.get());
  for (std::size_t i = 0; i < config.links.size(); ++i) {
    uplinks.push_back(std::make_unique<uplink_process>(*this, i));
    processes.push_back(uplinks.back().get());
  }
  for (auto& u : uplinks)
    u->connect_bus();
  acquisition = std::make_unique<acquisition_process>(*this);
  processes.push_back(acquisition.get());
  watchdog = std::make_unique<keeper>(w, config.watchdog, processes);
  for (auto& c : collectors)
    centre_watchdogs.push_back(std::make_unique<keeper>(w, config.watchdog, std::vector<process*>{c.get()}));
  for (auto& k : centre_watchdogs)
    k->start();
  watchdog->start();
}

// -- faults -----------------------------------------------------------------------------------------------------------

void site::plan() {
  for (auto& f : schedule)
    w.after(f.at, [this, &f] {
      w.trace("fault", "{}", describe(f));
      begin(f);
      w.after(f.length, [this, &f] { over(f); });
    });
}

std::string site::describe(const fault& f) const {
  using type = fault::type;
  std::string which;
  switch (f.what) {
    case type::kill:
    case type::hang:
    case type::bus_flap:
    case type::bus_lags: which = processes[f.which % processes.size()]->name; break;
    case type::cut:
      which = paths[f.which % paths.size()]->name + (f.direction == 0 ? ", to the centre only"
                                                     : f.direction == 1 ? ", from the centre only" : "");
      break;
    case type::reset:
    case type::slow:
    case type::drain: which = paths[f.which % paths.size()]->name; break;
    case type::archive_fails:
    case type::archive_slow:
    case type::archive_kill:
    case type::archive_lost:
    case type::archive_kill_in_commit: which = collectors[f.which % collectors.size()]->destination; break;
    default: break;
  }
  return fmt::format("{:.3f} s, for {:.3f} s: {} {}", std::chrono::duration<double>(f.at).count(),
                     std::chrono::duration<double>(f.length).count(), f.name(), which);
}

bus_link& site::bus_of(const fault& f) {
  const auto i = f.which % processes.size();
  return i == 0 || i > uplinks.size() ? *acquisition->bus : *uplinks[i - 1]->bus;
}

void site::begin(const fault& f) {
  using type = fault::type;
  auto& p = *paths[f.which % paths.size()];
  auto& c = *collectors[f.which % collectors.size()];
  auto& archive = archives[c.destination];
  switch (f.what) {
    case type::kill: return watchdog->signal(*processes[f.which % processes.size()], "killed");
    case type::kill_in_commit: store->kill_in_commit = true; return;
    case type::hang: return processes[f.which % processes.size()]->hang();
    case type::power_cut:
      ++disk.boot;
      for (auto* x : processes)
        watchdog->signal(*x, "power cut");
      return;
    case type::cut:
      p.cut[gateway] = p.cut[gateway] || f.direction != 1;
      p.cut[centre] = p.cut[centre] || f.direction != 0;
      return;
    case type::reset: return p.reset();
    case type::slow: p.delay = 4 * p.usual; return;
    case type::store_fails: disk.failing = std::max(disk.failing, w.now() + f.length); return;
    case type::store_slow: disk.slow = f.direction == 0 ? 2500ms : 80ms; return;  // a worn card takes seconds
    case type::archive_fails: archive.failing = std::max(archive.failing, w.now() + f.length); return;
    case type::archive_slow: archive.slow = f.direction == 0 ? 2500ms : 80ms; return;
    case type::archive_kill: return centre_watchdogs[f.which % collectors.size()]->signal(c, "killed");
    case type::archive_kill_in_commit: c.kill_in_commit = true; return;
    case type::archive_lost:
      centre_watchdogs[f.which % collectors.size()]->signal(c, "killed, and its disk is lost");
      archive.batches.clear();
      archive.origins.clear();
      return model.archive_lost(c.destination);
    case type::drain: return store->command(config.links[f.which % paths.size()].name, v1::LinkCommand::WHAT_DRAIN);
    case type::bus_flap: return bus_of(f).flap();
    case type::bus_lags: {
      const duration lag = f.direction == 0 ? 2s : 200ms;
      bus_of(f).slow(lag);
      if (const auto i = f.which % processes.size(); i > 0 && i <= uplinks.size())
        w.after(lag, [&at = *paths[i - 1]] { at.reset(); });  // what is for this connection is on its way there
      return;
    }
  }
}

void site::over(const fault& f) {
  using type = fault::type;
  auto& p = *paths[f.which % paths.size()];
  switch (f.what) {
    case type::hang:
      if (f.length < for_ever)
        processes[f.which % processes.size()]->wake();
      return;
    case type::cut: p.cut[gateway] = p.cut[centre] = false; return;
    case type::slow: p.delay = p.usual; return;
    case type::bus_lags: return bus_of(f).slow({});
    case type::store_slow: disk.slow = {}; return;
    case type::archive_slow: archives[collectors[f.which % collectors.size()]->destination].slow = {}; return;
    case type::drain: return store->command(config.links[f.which % paths.size()].name, v1::LinkCommand::WHAT_UNDRAIN);
    default: return;
  }
}

// -- runs -------------------------------------------------------------------------------------------------------------

void site::run(time_point end) {
  while (w.step(end)) {
  }
}

void site::run_safety(duration length) {
  plan();
  run(w.now() + length);
}

void site::undrain() {
  for (auto& f : schedule)
    if (f.what == fault::type::drain)
      over(f);
}

bool site::settled() const {
  return store->alive() && acquisition->settled() && model.complete() && store->dispatch->idle();
}

void site::run_liveness(duration faults, duration bound) {
  plan();
  run(w.now() + faults);
  // Whatever still goes wrong ends; the field produces a little longer.
  for (auto& f : schedule)
    over(f);
  store->kill_in_commit = false;
  for (auto& c : collectors)
    c->kill_in_commit = false;
  disk.failing = {};
  for (auto& [name, a] : archives)
    a.failing = {};
  w.trace("site", "no more faults");
  const auto calm = w.now();
  run(calm + 2s);
  producing = false;
  while (w.now() < calm + bound) {
    run(w.now() + 500ms);
    if ((w.now() - calm) % 5s == 0s)
      undrain();  // the store may not have been there
    if (settled()) {
      drained = w.now() - calm;
      model.count();
      return;
    }
  }
  const auto why = model.missing();
  throw violation(fmt::format("liveness: {:.0f} s after the last fault {}",
                              std::chrono::duration<double>(bound).count(),
                              why.empty() ? "the store or a source is not idle" : why));
}

} // namespace holdfast::simulation
