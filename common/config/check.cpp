// What concerns more than one field, outside sources and ways: names, references, order of limits, certificates.

#include "common/bus/endpoints.hpp"
#include "common/config/fields.hpp"
#include "common/config/load.hpp"

#include <algorithm>
#include <set>

namespace holdfast::config::detail {

namespace {

// Each has one of 1,024 tables in the store's file, and keeps it when it is renamed.
constexpr std::size_t most_classes = 200;

struct checker {
  const gateway& value;
  const places& where;
  report& to;

  place at(const void* field) const {
    auto found = where.find(field);
    return found == where.end() ? place{} : found->second;
  }

  /// The field's place where it was given, else that of the section around it.
  place at(const void* field, const void* section) const { return where.contains(field) ? at(field) : at(section); }

  template <class T>
  std::vector<std::string> unique_names(const std::vector<T>& list, const std::string& what) {
    std::vector<std::string> names;
    for (const auto& entry : list) {
      if (entry.name.empty())
        continue; // reported as missing
      auto same = std::find(names.begin(), names.end(), entry.name);
      if (same == names.end())
        names.push_back(entry.name);
      else
        to.add(at(&entry.name), "duplicate " + what + " " + quoted(entry.name));
    }
    return names;
  }

  void known(const std::string& name, const std::vector<std::string>& names, const std::string& what,
             place there) const {
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
      to.add(there, "unknown " + what + " " + quoted(name) + suggestion(name, names));
  }

  void classes() {
    const auto names = unique_names(value.classes, "class");
    if (names.size() > most_classes)
      to.add(at(&value.classes[most_classes].name),
             std::to_string(names.size()) + " classes: the store has room for " + std::to_string(most_classes));
    for (const auto& s : value.sources)
      known(s.record_class, names, "class", at(&s.record_class, &s));
    for (const auto& d : value.destinations)
      for (const auto& name : d.classes)
        known(name, names, "class", at(&name));
    std::vector<std::string> links;
    for (const auto& l : value.links) {
      links.push_back(l.name);
      for (const auto& name : l.classes)
        known(name, names, "class", at(&name));
    }
    for (const auto& c : value.classes)
      for (const auto& name : c.links)
        known(name, links, "link", at(&name));
    wanted();
  }

  /// What no destination wants would stay in the store until it is full.
  void wanted() const {
    const auto& all = value.destinations;
    const auto unwanted = [&](const std::string& name) {
      return !all.empty() && std::none_of(all.begin(), all.end(), [&](const destination& d) {
        return d.classes.empty() || std::find(d.classes.begin(), d.classes.end(), name) != d.classes.end();
      });
    };
    const std::string text = " is wanted by no destination; its records would fill the store";
    for (const auto& c : value.classes) {
      if (!unwanted(c.name))
        continue;
      if (where.contains(&c.name))
        to.add(at(&c.name), "class " + quoted(c.name) + text);
      else  // a default one: only where a source uses it
        for (const auto& s : value.sources)
          if (s.record_class == c.name)
            to.add(at(&s.record_class, &s), "class " + quoted(c.name) + text);
    }
  }

  void destinations() {
    const auto names = unique_names(value.destinations, "destination");
    if (value.destinations.empty() && !value.links.empty()) {
      to.add(at(&value.links.front()), "there are links but no destination; declare it under 'destinations:'");
      return;
    }
    for (const auto& l : value.links)
      known(l.destination, names, "destination", at(&l.destination));
  }

  template <class T>
  void ordered(const T& lower, const T& upper, const std::string& text, const void* section) const {
    if (lower > upper)
      to.add(where.contains(&upper) ? at(&upper) : at(&lower, section), text);
  }

  void links() {
    unique_names(value.links, "link");
    for (const auto& l : value.links) {
      ordered(l.heartbeat_interval, l.heartbeat_timeout, "heartbeat_timeout is shorter than heartbeat_interval", &l);
      ordered(l.reconnect.first, l.reconnect.cap, "reconnect: cap is shorter than first", &l);
      certificate(l.tls);
      tuning(l);
    }
  }

  void tuning(const link& l) const {
    const auto& t = l.tuning;
    ordered(t.monitor.floor, t.monitor.failover, "monitor: failover is shorter than floor", &l);
    ordered(t.loss.good, t.loss.bad, "loss: bad is lower than good", &l);
    ordered(t.delay.leave, t.delay.enter, "delay: enter is lower than leave", &l);
    ordered(t.damping.reuse, t.damping.suppress, "damping: suppress is lower than reuse", &l);
  }

  void certificate(const tls& t) const {
    if (t.certificate_file.empty() != t.key_file.empty())
      to.add(at(&t.certificate_file, &t.key_file), "tls: certificate_file and key_file go together");
  }

  std::vector<std::string> services() const {
    std::vector<std::string> out{"store", "acquisition", "health", "collector"};
    for (const auto& l : value.links)
      out.push_back("uplink-" + l.name);
    return out;
  }

  // The longest path there may be counts: in containers each service has a watchdog of its own.
  void run_directory() const {
    std::string longest;
    for (const auto& name : services()) {
      if (name.size() > std::string_view("uplink-").size() + max_name_length)
        continue;  // reported as no name
      for (const auto& row : bus::endpoint_table)
        if (auto file = bus::file_name(row, "watchdog-" + name); file.size() > longest.size())
          longest = file;
    }
    if (value.run_directory.size() + 1 + longest.size() > bus::max_path)
      to.add(at(&value.run_directory),
             "run_directory of " + std::to_string(value.run_directory.size()) + " bytes: at most "
               + std::to_string(bus::max_path - 1 - longest.size()) + ", for the path of a Unix socket has at most "
               + std::to_string(bus::max_path) + " bytes and the longest one here is " + longest);
  }

  void watchdog() {
    const auto& w = value.watchdog;
    ordered(w.backoff_first, w.backoff_cap, "backoff_cap is shorter than backoff_first", &w);
    const auto known_services = services();
    std::set<std::string> seen;
    for (const auto& name : w.services) {
      known(name, known_services, "service", at(&name));
      if (!seen.insert(name).second)
        to.add(at(&name), "duplicate service " + quoted(name));
    }
  }

  void collector() {
    if (!value.collector)
      return;
    const auto& c = *value.collector;
    certificate(c.tls);
    if (c.tls.enabled && c.tls.certificate_file.empty() && c.tls.key_file.empty())
      to.add(at(&c.tls), "tls: the collector needs certificate_file and key_file");
    // Only where both ends are in one file: the centre's own file has no links, and its store section is nobody's.
    if (!value.links.empty() && c.max_frame.count < value.store.max_batch.count)
      to.add(at(&c.max_frame, &value.store.max_batch),
             "the collector's max_frame is smaller than the store's max_batch");
  }

  void store() {
    const auto& s = value.store;
    if (s.max_batch.count > s.quota.count)
      to.add(at(&s.max_batch, &s.quota), "max_batch is larger than quota");
    for (const auto& c : value.classes) {
      if (c.quota.count > s.quota.count)
        to.add(at(&c.quota), "class " + quoted(c.name) + ": quota is larger than the store's quota");
      else if (c.quota.count > 0 && c.quota.count < s.max_batch.count)
        to.add(at(&c.quota), "class " + quoted(c.name) + ": quota is smaller than the store's max_batch");
    }
  }
};

} // namespace

void check(const gateway& value, const places& where, report& to) {
  checker c{value, where, to};
  c.classes();
  c.destinations();
  c.links();
  c.store();
  c.run_directory();
  c.watchdog();
  c.collector();
  check_sources(value, where, to);
  check_ways(value, where, to);
}

} // namespace holdfast::config::detail
