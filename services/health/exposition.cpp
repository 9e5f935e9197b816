#include "services/health/exposition.hpp"

#include "holdfast/v1/events.pb.h"

#include <prometheus/check_names.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <set>

namespace holdfast::health {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using labels = std::vector<ClientMetric::Label>;

/// One line in the format; the serializer writes it as it is.
std::string help_text(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\\'; }, ' ');
  return text;
}

/// Collects figures by name. The first one decides type and help: a scraper takes a name's type only once.
class families {
public:
  void add(const std::string& name, const std::string& help, MetricType type, double value, labels l) {
    if (!prometheus::CheckMetricName(name) || !valid(l)) {
      ++refused_;
      return;
    }
    auto [it, fresh] = families_.try_emplace(name);
    if (fresh)
      it->second = {name, help_text(help), type, {}};
    // A scraper refuses the same series twice.
    if (!seen_.insert({name, l}).second) {
      ++refused_;
      return;
    }
    ClientMetric m;
    m.label = std::move(l);
    (it->second.type == MetricType::Counter ? m.counter.value : m.gauge.value) = value;
    it->second.metric.push_back(std::move(m));
  }
  void gauge(const std::string& name, const std::string& help, double value, labels l = {}) {
    add(name, help, MetricType::Gauge, value, std::move(l));
  }
  void counter(const std::string& name, const std::string& help, double value, labels l = {}) {
    add(name, help, MetricType::Counter, value, std::move(l));
  }

  std::string text() {
    gauge("holdfast_health_series_refused", "Figures left out: invalid name or label, or given twice",
          static_cast<double>(refused_));
    std::vector<MetricFamily> all;
    for (auto& [name, f] : families_)
      all.push_back(std::move(f));
    return prometheus::TextSerializer{}.Serialize(all);
  }

private:
  static bool valid(labels& l) {
    std::sort(l.begin(), l.end());
    const auto twice = std::adjacent_find(l.begin(), l.end(), [](auto& a, auto& b) { return a.name == b.name; });
    return twice == l.end() && std::all_of(l.begin(), l.end(), [](auto& x) { return prometheus::CheckLabelName(x.name); });
  }

  std::map<std::string, MetricFamily> families_;
  std::set<std::pair<std::string, labels>> seen_;
  std::uint64_t refused_ = 0;
};

double real(std::uint64_t n) { return static_cast<double>(n); }

void add_own_figures(families& out, const instance& i) {
  for (auto& m : i.metrics->metrics()) {
    labels l{{"instance", i.name}};
    for (auto& tag : m.labels())
      l.push_back({tag.name() == "instance" ? "exported_instance" : tag.name(), tag.value()});
    const auto type = m.kind() == v1::METRIC_KIND_COUNTER ? MetricType::Counter : MetricType::Gauge;
    out.add(m.name(), m.help(), type, m.value(), std::move(l));
  }
}

void add_presence(families& out, const instance& i, bool up) {
  const labels l{{"instance", i.name}};
  out.gauge("up", "1 while heartbeats arrive", up ? 1 : 0, l);
  out.gauge("holdfast_running", "1 while the service is up and says that it is running",
            up && i.state == "running" ? 1 : 0, l);
  out.gauge("holdfast_alarms", "Alarms that are raised", real(i.alarms.size()), l);
  if (i.self)
    return;
  out.counter("holdfast_health_incarnations_total", "Lives of the service that health has seen", real(i.lives), l);
  out.counter("holdfast_health_events_total", "Event bus messages taken", real(i.received), l);
  out.counter("holdfast_health_events_lost_total", "Holes in the numbers of event bus messages", real(i.lost), l);
  out.counter("holdfast_health_events_malformed_total", "Messages under this name that break the contract",
              real(i.malformed), l);
}

void add_usage(families& out, const std::string& name, const proc::usage& u) {
  const labels l{{"instance", name}};
  out.counter("holdfast_process_cpu_seconds_total", "User and system CPU time", u.cpu_seconds, l);
  if (u.cpu_percent)
    out.gauge("holdfast_process_cpu_percent", "CPU time since the last sample, of one core", *u.cpu_percent, l);
  out.gauge("holdfast_process_resident_bytes", "Resident memory", real(u.resident_bytes), l);
  if (u.proportional_bytes)
    out.gauge("holdfast_process_proportional_bytes", "Memory, shared pages divided among their users (every 30 s)",
              real(*u.proportional_bytes), l);
  out.gauge("holdfast_process_threads", "Threads", real(u.threads), l);
  if (u.open_files)
    out.gauge("holdfast_process_open_fds", "Open file descriptors", real(*u.open_files), l);
  if (u.storage) {
    out.counter("holdfast_process_storage_read_bytes_total", "Read from storage", real(u.storage->read_bytes), l);
    out.counter("holdfast_process_storage_written_bytes_total", "Written to storage", real(u.storage->written_bytes), l);
  }
}

void add_machine(families& out, const proc::machine& m) {
  if (m.load) {
    out.gauge("holdfast_machine_load1", "Load average of one minute", m.load->one);
    out.gauge("holdfast_machine_load5", "Load average of five minutes", m.load->five);
    out.gauge("holdfast_machine_load15", "Load average of fifteen minutes", m.load->fifteen);
  }
  if (m.memory) {
    out.gauge("holdfast_machine_memory_bytes", "Memory of the machine", real(m.memory->total_bytes));
    out.gauge("holdfast_machine_memory_available_bytes", "Memory available without swapping",
              real(m.memory->available_bytes));
  }
  if (m.disk) {
    const labels l{{"directory", m.disk->directory}};
    out.gauge("holdfast_machine_disk_bytes", "Size of the filesystem", real(m.disk->total_bytes), l);
    out.gauge("holdfast_machine_disk_free_bytes", "Free on the filesystem", real(m.disk->free_bytes), l);
  }
  for (auto& i : m.interfaces) {
    const labels l{{"device", i.name}};
    out.counter("holdfast_machine_network_receive_bytes_total", "Received", real(i.received_bytes), l);
    out.counter("holdfast_machine_network_transmit_bytes_total", "Sent", real(i.sent_bytes), l);
  }
}

} // namespace

std::string prometheus_text(const picture& p) {
  families out;
  for (auto& i : p.instances) {
    const auto state = judge(i, p.taken.monotonic);
    if (state == presence::unknown && !i.expected)
      continue;  // a service this gateway may have, and has not
    add_presence(out, i, state == presence::up);
    if (state == presence::up && i.metrics)
      add_own_figures(out, i);
    if (i.usage)
      add_usage(out, i.name, *i.usage);
  }
  if (p.machine)
    add_machine(out, *p.machine);
  out.gauge("holdfast_healthy", "1 while every expected service is up and running", p.reasons().empty() ? 1 : 0);
  out.counter("holdfast_health_inbox_dropped_total", "Event bus messages dropped because health was behind",
              real(p.overrun));
  out.counter("holdfast_health_unattributed_total", "Malformed messages that name no service of this gateway",
              real(p.unattributed));
  return out.text();
}

} // namespace holdfast::health
