// Destinations, classes, and the links that lead there.

#include "common/config/fields.hpp"

#include <array>

namespace holdfast::config {

using namespace std::chrono_literals;

namespace {

constexpr std::array<std::string_view, 1> transports{"tcp"};
constexpr std::array<std::string_view, 3> profiles{"fibre", "5g", "satellite"};
constexpr std::array<word, 3> budget_rules{{{"wait", 0}, {"use-reserve", 1}, {"ignore", 2}}};
constexpr std::array<word, 3> overflow_rules{{{"reject", 0}, {"drop-oldest", 1}, {"thin", 2}}};

const rule plain_name = text_of(text_rule::name);

} // namespace

std::span<const word> words(holdfast::link::budget_rule) { return budget_rules; }
std::span<const word> words(overflow_rule) { return overflow_rules; }

void fields(visitor& v, record_class& c) {
  v.required("name", c.name, "Name of the class.", plain_name);
  v.optional("priority", c.priority, "Lower goes first.", between(0, 1000));
  v.optional("links", c.links, "Links that may carry it; default: all that lead to the destination.", plain_name);
  v.optional("duplicate", c.duplicate, "Send it over two links at once; the centre keeps one.");
  v.optional("latency_sensitive", c.latency_sensitive, "Avoid links whose round trip is above their latency_limit.");
  v.optional("when_spent", c.when_spent,
             "On a link whose byte budget comes to its end: wait from the reserve on, use-reserve, or ignore the budget.");
  v.optional("overflow", c.overflow,
             "Where there is no room: reject (producers wait), drop-oldest, or thin (from the oldest on every second "
             "stretch gives way). What is dropped is told to the centre as gaps.");
  v.optional("quota", c.quota,
             "Most space of the store that it takes; 0: all, but the last tenth is for the most urgent class.",
             between(bytes{0}, gib(1 << 20)));
  v.optional("ttl", c.ttl, "Records stored so long ago and not delivered give way; 0: never.", between(0ms, 24h * 3650));
  v.optional("durability_window", c.durability_window,
             "Offers may wait so long for others before the commit; what is acknowledged is on disk all the same.",
             between(0ms, 1s));
  v.optional("backlog_share", c.backlog_share,
             "Percent of a link kept for its backlog while live records flow; default: the store's.", between(0, 100));
}

void fields(visitor& v, destination& d) {
  v.required("name", d.name, "Name of the centre.", plain_name);
  v.optional("classes", d.classes, "Record classes it wants; default: all.", plain_name);
}

void fields(visitor& v, tls& t) {
  t.enabled = true; // who writes a tls: section wants TLS
  v.optional("enabled", t.enabled, "false: keep the section, but talk in the clear.");
  v.optional("ca_file", t.ca_file, "Certificates (PEM) that the peer's certificate must lead to.");
  v.optional("certificate_file", t.certificate_file, "Our own certificate chain (PEM), for mutual authentication.");
  v.optional("key_file", t.key_file, "Private key (PEM) of certificate_file.");
  v.optional("server_name", t.server_name,
             "Name checked against the peer's certificate; default: the host connected to.");
}

void fields(visitor& v, keepalive& k) {
  v.optional("idle", k.idle, "Silence before the first TCP keepalive probe.", between(1s, 2h));
  v.optional("interval", k.interval, "Time between two probes.", between(1s, 1h));
  v.optional("count", k.count, "Probes without answer until the connection is dead.", between(1, 100));
}

void fields(visitor& v, reconnect& r) {
  v.optional("quick", r.quick, "Time between the first attempts after a session that stood.", between(1ms, 1min));
  v.optional("quick_attempts", r.quick_attempts, "So many of these.", between(0, 1000));
  v.optional("first", r.first, "Then a random wait up to this, doubling with each attempt ...", between(10ms, 10min));
  v.optional("cap", r.cap, "... up to this.", between(10ms, 1h));
  v.optional("stable", r.stable, "A session this old resets the waiting times.", between(100ms, 24h));
  v.optional("unavailable_after", r.unavailable_after,
             "Attempts in a row until the link is called unavailable; it goes on trying.", between(1, 1000000));
}

void fields(visitor& v, holdfast::link::monitor_settings& m) {
  v.optional("floor", m.floor, "No acknowledgement is overdue sooner ...", between(1ms, 1min));
  v.optional("failover", m.failover, "... nor later, whatever was learned.", between(1ms, 1min));
  v.optional("first_wait", m.first_wait, "The same until something was measured.", between(1ms, 1min));
  v.optional("gap", m.gap, "Nor is one while the last sign of a round trip is younger than this.", between(1ms, 1min));
  v.optional("idle_patience", m.idle_patience, "Times the wait for a probe of an idle link.", between(1, 100));
  v.optional("burst", m.burst, "Probes that decide between suspect and down.", between(1, 100));
  v.optional("burst_spacing", m.burst_spacing, "Between two of them, or an eighth of the round trip.", between(1ms, 1min));
  v.optional("burst_floor", m.burst_floor, "The last of them is given at least this long.", between(1ms, 1min));
  v.optional("idle_probe", m.idle_probe, "Without data: one probe per this long.", between(10ms, 24h));
  v.optional("probe_budget", m.probe_budget, "Bytes per day for probes of an idle link; 0: any.");
  v.optional("recovery_probe", m.recovery_probe, "While degraded or down: one probe per this long.", between(10ms, 24h));
  v.optional("stall", m.stall, "Probes are answered and data are not for this long: degraded.", between(100ms, 1h));
}

void fields(visitor& v, holdfast::link::loss_settings& l) {
  v.optional("good", l.good, "Share of packets that a sound link loses.", between(0, 1));
  v.optional("bad", l.bad, "Share of packets that a bad link loses.", between(0, 1));
  v.optional("enter", l.enter, "Log likelihood ratio that degrades.", between(1, 100));
  v.optional("leave", l.leave, "Log likelihood ratio that ends it.", between(1, 100));
  v.optional("clear", l.clear, "Or so many packets in a row without a loss ...", between(1, 100000));
  v.optional("quiet", l.quiet, "... where the last loss was so long ago.", between(0s, 24h));
}

void fields(visitor& v, holdfast::link::delay_settings& d) {
  v.optional("window", d.window, "One 95th percentile of the round trip per this long.", between(100ms, 10min));
  v.optional("enter", d.enter, "Times the learned baseline: degraded.", between(1, 100));
  v.optional("leave", d.leave, "Times the learned baseline: no longer.", between(1, 100));
  v.optional("rise", d.rise, "And so much above it at least.", between(0ms, 1min));
  v.optional("enter_windows", d.enter_windows, "Windows in a row that degrade.", between(1, 100));
  v.optional("leave_windows", d.leave_windows, "Windows in a row that end it.", between(1, 100));
}

void fields(visitor& v, holdfast::link::breaker_settings& b) {
  v.optional("window", b.window, "Attempts that are judged.", between(1, 10000));
  v.optional("minimum", b.minimum, "Fewer say nothing.", between(1, 10000));
  v.optional("errors", b.errors, "Share of failures that opens it.", between(0, 1));
  v.optional("open", b.open, "Open for this long, then trials.", between(1s, 24h));
  v.optional("trials", b.trials, "Attempts let through; all must succeed.", between(1, 100));
}

void fields(visitor& v, holdfast::link::damping_settings& d) {
  v.optional("flap", d.flap, "Penalty of a link that goes down.", between(0, 1000000));
  v.optional("suspicion", d.suspicion, "Penalty of a suspicion that came to nothing, or a brownout.", between(0, 1000000));
  v.optional("suppress", d.suppress, "Penalty from which on traffic does not return.", between(1, 1000000));
  v.optional("reuse", d.reuse, "Penalty below which it may again.", between(1, 1000000));
  v.optional("half_life", d.half_life, "Half of a penalty is forgotten in this time.", between(1s, 24h));
  v.optional("longest", d.longest, "Suppressed at most so long after the last flap.", between(1s, 24h));
}

void fields(visitor& v, holdfast::link::route_settings& r) {
  v.optional("hold", r.hold, "Healthy for so long before traffic returns to it.", between(0s, 24h));
  v.optional("probation", r.probation, "Answering for so long before it counts as healthy ...", between(0s, 24h));
  v.optional("proofs", r.proofs, "... and so often.", between(0, 1000));
  v.optional("trial", r.trial, "Real data must come back over it in this time before the other link rests.",
             between(10ms, 10min));
}

void fields(visitor& v, holdfast::link::profile& p) {
  v.optional("monitor", p.monitor, "When silence is death.");
  v.optional("loss", p.loss, "Brownout by loss.");
  v.optional("delay", p.delay, "Brownout by round trip.");
  v.optional("breaker", p.breaker, "Circuit breaker of the attempts to connect.");
  v.optional("damping", p.damping, "Suppression of links that flap.");
  v.optional("route", p.route, "Return to a better link.");
}

void fields(visitor& v, link& l) {
  v.required("name", l.name, "Name of the link; its process is uplink-NAME.", plain_name);
  v.required("destination", l.destination, "Destination that this link leads to.", plain_name);
  v.optional("transport", l.transport, "Protocol.", one_of(transports));
  v.required("connect", l.connect, "Address of the centre on this link.");
  v.optional("tls", l.tls, "Encryption and authentication; without this section the link is in the clear.");
  v.optional("heartbeat_interval", l.heartbeat_interval, "Silence before a heartbeat packet is sent.",
             between(10ms, 1h));
  v.optional("heartbeat_timeout", l.heartbeat_timeout,
             "Silence of the centre until the session is dead; three times as long while the link still carries data.",
             between(20ms, 2h));
  v.optional("connect_timeout", l.connect_timeout, "Wait for a connection.", between(10ms, 10min));
  v.optional("keepalive", l.keepalive, "TCP keepalive.");
  v.optional("user_timeout", l.user_timeout, "TCP_USER_TIMEOUT: unacknowledged bytes this old end the connection.",
             between(100ms, 1h));
  v.optional("window", l.window, "Bytes in flight on this link.", between(kib(16), gib(1)));
  v.optional("reconnect", l.reconnect, "When to try again after a failure.");
  v.optional("profile", l.profile, "What kind of link it is: the defaults of tuning.", one_of(profiles));
  if (auto p = holdfast::link::profile_named(l.profile))
    l.tuning = *p;
  v.optional("priority", l.priority, "Lower goes first.", between(0, 1000));
  v.optional("cost", l.cost, "Decides between links of one priority; lower goes first.", between(0, 1000000));
  v.optional("classes", l.classes, "Record classes that it may carry; default: all.", plain_name);
  v.optional("latency_limit", l.latency_limit, "Round trip above which it is no place for latency-sensitive classes.",
             between(0ms, 1min));
  v.optional("on_demand", l.on_demand, "Connected only where it carries, stands by, or is preferred to the carrier.");
  v.optional("interface", l.interface, "Network interface that it is bound to.", text_of(text_rule::interface));
  v.optional("source_address", l.source_address, "Own address that it is bound to.", text_of(text_rule::address));
  v.optional("bandwidth", l.bandwidth, "Most bytes per second, at least 1KiB; 0: no cap.", between(bytes{0}, gib(16)));
  v.optional("budget_day", l.budget_day, "Bytes on the wire per day (UTC); 0: no limit.", between(bytes{0}, gib(1 << 20)));
  v.optional("budget_month", l.budget_month, "Bytes on the wire per month (UTC); 0: no limit.",
             between(bytes{0}, gib(1 << 20)));
  v.optional("tuning", l.tuning, "Every number of the link's supervision; defaults come from the profile.");
}

} // namespace holdfast::config
