#pragma once

// Messages of the event bus as the services send them.

#include "holdfast/v1/control.pb.h"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/events.pb.h"
#include "services/health/fleet.hpp"

#include <string>
#include <vector>

namespace health_test {

using namespace holdfast;

/// A service that numbers what it says.
struct speaker {
  std::string name;
  std::uint64_t incarnation = 1;
  std::map<std::string, std::uint64_t> seq{};

  std::vector<blob> say(const std::string& kind, const google::protobuf::Message& m) {
    v1::Envelope e;
    e.set_type(m.GetTypeName());
    e.set_service(name);
    e.set_instance(name);
    e.set_incarnation(incarnation);
    e.set_seq(++seq[kind]);
    return {blob(kind + "." + name), blob(e.SerializeAsString()), blob(m.SerializeAsString())};
  }
  std::vector<blob> heartbeat(const std::string& state = "running", std::int64_t pid = 42) {
    v1::Heartbeat h;
    h.set_pid(pid);
    h.set_uptime_millis(1000);
    h.set_state(state);
    h.set_version("0.1.0");
    auto& l = *h.add_loops();
    l.set_name("bus");
    l.set_age_millis(3);
    l.set_limit_millis(2000);
    return say("heartbeat", h);
  }
  std::vector<blob> alarm(const std::string& alarm_name, bool raised, const std::string& text = "because") {
    v1::Alarm a;
    a.set_name(alarm_name);
    a.set_severity(v1::SEVERITY_CRITICAL);
    a.set_raised(raised);
    a.set_text(text);
    return say("alarm", a);
  }
  std::vector<blob> state(const std::string& component, const std::string& to) {
    v1::StateChange s;
    s.set_component(component);
    s.set_to(to);
    s.set_reason("test");
    return say("state", s);
  }
  std::vector<blob> figure(const std::string& figure_name, double value,
                           std::vector<std::pair<std::string, std::string>> labels = {}) {
    v1::Metrics all;
    auto& m = *all.add_metrics();
    m.set_name(figure_name);
    m.set_help("A figure");
    m.set_kind(v1::METRIC_KIND_GAUGE);
    m.set_value(value);
    for (auto& [label, text] : labels) {
      auto& l = *m.add_labels();
      l.set_name(label);
      l.set_value(text);
    }
    return say("metrics", all);
  }
};

inline health::instant at(std::int64_t millis) {
  return {std::chrono::milliseconds(millis), 1'700'000'000'000 + millis};
}

inline const health::instance& member(const health::fleet& f, const std::string& name) {
  for (auto& i : f.instances())
    if (i.name == name)
      return i;
  throw std::runtime_error("no such member: " + name);
}

} // namespace health_test
