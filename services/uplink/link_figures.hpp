#pragma once

#include "common/telemetry/metrics.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast::uplink {

class link_watch;

/// The metrics of one link. Counters go on over the restarts of SESSION.
class link_figures {
public:
  link_figures(metrics& m, const std::string& link);

  /// What the watch knows, and how often it was knocked.
  void show(const link_watch& w, std::uint64_t knocks, std::chrono::steady_clock::time_point now);

  metrics::value& up;
  metrics::value& sessions;
  metrics::value& failures;
  metrics::value& sent_batches;
  metrics::value& sent_bytes;
  metrics::value& acked_records;

private:
  /// A counter of the watch, which begins at 0 with each SESSION.
  struct counted {
    metrics::value* total;
    double seen = 0;
    void now(double n) {
      total->add(n - seen);
      seen = n;
    }
  };

  std::array<metrics::value*, 6> health_;
  std::array<metrics::value*, 3> breaker_;
  metrics::value& round_trip_;
  metrics::value& variation_;
  metrics::value& loss_;
  counted suspicions_;
  counted false_suspicions_;
  counted probes_;
  counted knocks_;
  counted openings_;
  counted wire_bytes_;
};

} // namespace holdfast::uplink
