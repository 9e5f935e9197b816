#include "services/uplink/link_figures.hpp"

#include "services/uplink/link_watch.hpp"

namespace holdfast::uplink {

namespace {

/// One series per state; the present one is 1.
template <class State, std::size_t N>
std::array<metrics::value*, N> state_set(metrics& m, const std::string& name, const std::string& help,
                                         const std::string& link) {
  std::array<metrics::value*, N> out{};
  for (std::size_t i = 0; i < N; ++i)
    out[i] = &m.gauge(name, help, {{"link", link}, {"state", to_string(static_cast<State>(i))}});
  return out;
}

template <class State, std::size_t N> void show_state(const std::array<metrics::value*, N>& set, State is) {
  for (std::size_t i = 0; i < N; ++i)
    set[i]->set(static_cast<State>(i) == is ? 1 : 0);
}

} // namespace

link_figures::link_figures(metrics& m, const std::string& link)
    : up(m.gauge("holdfast_link_up", "1: the session with the destination stands", {{"link", link}})),
      sessions(m.counter("holdfast_link_sessions_total", "Sessions established", {{"link", link}})),
      failures(m.counter("holdfast_link_failures_total", "Attempts that failed and sessions that broke",
                         {{"link", link}})),
      sent_batches(m.counter("holdfast_link_sent_batches_total", "Batches written, repeats included",
                             {{"link", link}})),
      sent_bytes(m.counter("holdfast_link_sent_bytes_total", "Payload bytes written", {{"link", link}})),
      acked_records(m.counter("holdfast_link_acknowledged_records_total", "Records the destination confirmed",
                              {{"link", link}})),
      health_(state_set<link::health, 6>(m, "holdfast_link_health", "1: the link's health", link)),
      breaker_(state_set<link::breaker_state, 3>(m, "holdfast_link_breaker", "1: state of the circuit breaker of the "
                                                 "attempts to connect", link)),
      round_trip_(m.gauge("holdfast_link_round_trip_seconds", "Smoothed round trip to the other end's application",
                          {{"link", link}})),
      variation_(m.gauge("holdfast_link_round_trip_variation_seconds", "Variation of the round trip (RFC 6298)",
                         {{"link", link}})),
      loss_(m.gauge("holdfast_link_loss_ratio", "Share of packets lost lately", {{"link", link}})),
      suspicions_{&m.counter("holdfast_link_suspicions_total", "Times an answer was overdue", {{"link", link}})},
      false_suspicions_{&m.counter("holdfast_link_false_suspicions_total", "... and came after all",
                                   {{"link", link}})},
      probes_{&m.counter("holdfast_link_probes_total", "Pings that asked whether the link lives", {{"link", link}})},
      knocks_{&m.counter("holdfast_link_knocks_total", "Connections asked for while nothing answered, to see the way's "
                         "return", {{"link", link}})},
      openings_{&m.counter("holdfast_link_breaker_openings_total", "Times the circuit breaker opened",
                           {{"link", link}})},
      wire_bytes_{&m.counter("holdfast_link_wire_bytes_total", "Bytes on the wire, both ways, headers and repeats "
                             "included", {{"link", link}})} {}

void link_figures::show(const link_watch& w, std::uint64_t knocks, std::chrono::steady_clock::time_point now) {
  const auto& m = w.monitor();
  show_state(health_, w.health(now));
  show_state(breaker_, w.breaker().state(now));
  round_trip_.set(m.round_trip().smoothed().count());
  variation_.set(m.round_trip().variation().count());
  loss_.set(m.brownout().loss());
  suspicions_.now(static_cast<double>(w.suspicions()));
  false_suspicions_.now(static_cast<double>(m.false_suspicions()));
  probes_.now(static_cast<double>(m.probes()));
  knocks_.now(static_cast<double>(knocks));
  openings_.now(static_cast<double>(w.breaker().openings()));
  wire_bytes_.now(static_cast<double>(w.wire_bytes()));
}

} // namespace holdfast::uplink
