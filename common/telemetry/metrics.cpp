#include "common/telemetry/metrics.hpp"

#include "holdfast/v1/events.pb.h"

namespace holdfast {

metrics::value& metrics::find(const std::string& name, const std::string& help, labels l, bool counts) {
  std::lock_guard lock(mutex_);
  for (auto& e : entries_)
    if (e->name == name && e->tags == l)
      return e->v;
  auto e = std::make_unique<entry>();
  e->name = name;
  e->help = help;
  e->tags = std::move(l);
  e->counts = counts;
  entries_.push_back(std::move(e));
  return entries_.back()->v;
}

void metrics::snapshot(v1::Metrics& out) const {
  std::lock_guard lock(mutex_);
  for (auto& e : entries_) {
    auto& m = *out.add_metrics();
    m.set_name(e->name);
    m.set_help(e->help);
    m.set_kind(e->counts ? v1::METRIC_KIND_COUNTER : v1::METRIC_KIND_GAUGE);
    m.set_value(e->v.get());
    for (auto& [name, text] : e->tags) {
      auto& label = *m.add_labels();
      label.set_name(name);
      label.set_value(text);
    }
  }
}

} // namespace holdfast
