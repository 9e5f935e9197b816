#pragma once

#include "common/telemetry/metrics.hpp"
#include "services/acquisition/producer.hpp"
#include "services/acquisition/recorder.hpp"

namespace holdfast::acquisition {

/// A source's metrics.
struct source_figures {
  metrics::value* records;
  metrics::value* bytes;
  metrics::value* dropped;
  metrics::value* oversize;
  metrics::value* incomplete;
  metrics::value* connections;
  metrics::value* kept_bytes;
  metrics::value* kept_records;

  source_figures(metrics& m, const metrics::labels& t)
      : records(&m.counter("holdfast_source_records_total", "Records taken from the field", t)),
        bytes(&m.counter("holdfast_source_bytes_total", "Bytes of transparent frames", t)),
        dropped(&m.counter("holdfast_source_dropped_total",
                           "Records dropped: no room here or in the kernel, or refused for good by the store", t)),
        oversize(&m.counter("holdfast_source_oversize_total", "Frames above the limit, dropped", t)),
        incomplete(&m.counter("holdfast_source_incomplete_total", "Frames cut off by the end of a connection", t)),
        connections(&m.gauge("holdfast_source_connections", "Open connections", t)),
        kept_bytes(&m.gauge("holdfast_source_unacknowledged_bytes",
                            "Batches the store has not confirmed, as they count for the window", t)),
        kept_records(&m.gauge("holdfast_source_unacknowledged_records", "Records read and not on disk", t)) {}

  void show(const recorder& r, const producer& p) {
    records->set(static_cast<double>(r.figures().records));
    bytes->set(static_cast<double>(r.figures().bytes));
    dropped->set(static_cast<double>(r.figures().dropped));
    oversize->set(static_cast<double>(r.figures().oversize));
    kept_bytes->set(static_cast<double>(p.kept_bytes()));
    kept_records->set(static_cast<double>(p.kept_records() + r.records()));
  }
};

} // namespace holdfast::acquisition
