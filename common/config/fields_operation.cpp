// Store, supervision and operation.

#include "common/config/fields.hpp"

#include <array>

namespace holdfast::config {

using namespace std::chrono_literals;

namespace {

constexpr std::array<std::string_view, 6> log_levels{"trace", "debug", "info", "warn", "error", "off"};

const rule filled = text_of(text_rule::filled);
const rule plain_name = text_of(text_rule::name);

} // namespace

void fields(visitor& v, store& s) {
  v.optional("directory", s.directory, "Where the records are kept until they are delivered.", filled);
  v.optional("quota", s.quota, "Most space on disk.", between(mib(16), gib(1 << 20)));
  v.optional("max_batch", s.max_batch, "Largest batch accepted.", between(kib(4), mib(64)));
  v.optional("producer_window", s.producer_window, "Bytes a producer may have unacknowledged.",
             between(kib(16), gib(1)));
  v.optional("live_cache", s.live_cache, "New batches kept in memory, so that live traffic is not read back from disk.",
             between(bytes{0}, gib(16)));
  v.optional("backlog_share", s.backlog_share, "Percent of a link kept for the backlog while live records flow.",
             between(0, 100));
}

void fields(visitor& v, health& h) {
  v.optional("listen", h.listen, "Address of the status page and the metrics.");
  v.optional("interval", h.interval, "Time between two samples of CPU, memory and disk.", between(100ms, 1h));
  v.optional("tap_queue", h.tap_queue, "Messages kept for a slow tap before it loses its own.", between(1, 10000000));
}

void fields(visitor& v, watchdog& w) {
  v.optional("services", w.services,
             "Services in start order; default: store, uplink-LINK for each link, acquisition, health.");
  v.optional("strategy", w.strategy, "one-for-one: restart the failed service; rest-for-one: and those after it.");
  v.optional("limit", w.limit, "No progress for this long: the service hangs.", between(1s, 1h));
  v.optional("start_limit", w.start_limit, "Longest time from start to first progress.", between(100ms, 1h));
  v.optional("abort_grace", w.abort_grace, "Time for a core dump, between SIGABRT and SIGKILL.", between(0ms, 10min));
  v.optional("stop_grace", w.stop_grace, "Time to stop in order, between SIGTERM and SIGKILL.", between(0ms, 10min));
  v.optional("backoff_first", w.backoff_first, "Wait before the second restart in a row; the first is at once.",
             between(1ms, 10min));
  v.optional("backoff_cap", w.backoff_cap, "The wait doubles up to this.", between(1ms, 1h));
  v.optional("stable", w.stable, "A life this long resets the wait.", between(100ms, 24h));
  v.optional("intensity", w.intensity, "More restarts than this ...", between(1, 10000));
  v.optional("period", w.period, "... within this: the service goes into quarantine.", between(100ms, 24h));
  v.optional("quarantine", w.quarantine, "In quarantine: one start per this long, and an alarm.", between(100ms, 24h));
  v.optional("device", w.device, "Hardware watchdog.", filled);
  v.optional("feed_device", w.feed_device, "Feed the hardware watchdog while the watchdog's own loop turns.");
}

void fields(visitor& v, collector& c) {
  v.optional("name", c.name, "Name of the centre in sessions and logs.", plain_name);
  v.optional("listen", c.listen, "Address that gateways connect to.");
  v.optional("tls", c.tls, "Encryption; with ca_file gateways must show a certificate.");
  v.optional("directory", c.directory, "Where received records are kept.", filled);
  v.optional("quota", c.quota, "Most space on disk; when full nothing is acknowledged and gateways hold on.",
             between(mib(16), gib(1 << 20)));
  v.optional("max_frame", c.max_frame, "Largest message accepted.", between(kib(4), mib(128)));
  v.optional("max_connections", c.max_connections, "Sessions at a time; more are refused.", between(1, 100000));
  v.optional("idle_timeout", c.idle_timeout, "A session this silent is closed.", between(100ms, 24h));
}

void fields(visitor& v, log& l) {
  v.optional("level", l.level, "Least serious message that is logged.", one_of(log_levels));
}

void fields(visitor& v, gateway& g) {
  v.optional("name", g.name, "Name of this gateway at the centre; one of a kind.", plain_name);
  v.optional("run_directory", g.run_directory,
             "Directory of the sockets between the services; a short path, for theirs have at most 107 bytes.", filled);
  v.optional("log", g.log, "Logging of all services.");
  v.optional("classes", g.classes, "Record classes; default: critical (10), telemetry (100), bulk (200).");
  v.optional("sources", g.sources, "Where records come from.");
  v.optional("store", g.store, "The store on disk.");
  v.optional("destinations", g.destinations, "Where records must arrive.");
  v.optional("links", g.links, "Ways to the destinations, one process each.");
  v.optional("health", g.health, "Status page, metrics and taps.");
  v.optional("watchdog", g.watchdog, "Supervision of the services.");
  v.optional("collector", g.collector, "The reference centre; runs elsewhere, usually with a file of its own.");
}

} // namespace holdfast::config
