#pragma once

// One destination's board on a clock of its own, and what it said.

#include "services/store/route_board.hpp"
#include "storage_support.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace route_board_test {

using namespace holdfast;
using namespace std::chrono_literals;
using store::route_board;
using health = v1::LinkStatus;
using command = v1::LinkCommand;

inline config::gateway site(const std::vector<std::string>& names) {
  config::gateway c;
  c.classes = {{.name = "telemetry", .priority = 100}};
  c.destinations = {{.name = "centre"}};
  for (auto& n : names) {
    auto& l = c.links.emplace_back();
    l.name = n;
    l.destination = "centre";
    l.priority = static_cast<unsigned>(c.links.size());
  }
  return c;
}

/// The board on a clock of its own, and what it said.
struct bench {
  config::gateway c;
  store::moment t{link::time_point{} + 1h, 1'700'000'000'000'000'000};
  route_board board;
  std::vector<std::string> said;
  std::map<std::string, v1::LinkRow> rows;
  std::map<std::string, v1::JournalRow> journals;
  std::map<std::string, std::uint64_t> proofs;
  std::map<std::string, std::uint64_t> wire;
  std::set<std::string> silent;
  std::uint64_t head = 0;

  explicit bench(config::gateway g, const route_board::kept& k = {}, std::map<std::string, std::uint64_t> counters = {})
      : c(std::move(g)), board(c, "centre", k, t), wire(std::move(counters)) {
    for (auto& l : c.links) {
      board.attached(l.name, session(l.name), t);
      board.ready(l.name, 1 << 20, t);
      say(l.name, health::HEALTH_UP);
    }
    collect();
  }
  static std::uint64_t session(const std::string& link) { return std::hash<std::string>()(link) | 1; }

  void say(const std::string& link, health::Health h, const std::string& cause = "test", std::uint64_t bytes = 0) {
    v1::LinkStatus s;
    s.set_link(link);
    s.set_session(session(link));
    s.set_health(h);
    s.set_cause(cause);
    s.set_proofs(++proofs[link]);
    s.set_wire_bytes(wire[link] += bytes);
    states[link] = h;
    board.status(s, t);
    collect();
  }
  void pass(std::chrono::milliseconds d) {
    for (const auto end = t.now + d; t.now < end;) {
      t.now += 500ms;
      t.unix_nanos += 500'000'000;
      for (auto& l : c.links)
        if (!silent.contains(l.name))
          say(l.name, states[l.name]);
      board.tick(t);
      collect();
    }
  }
  /// Stores ten records and carries out every order; tells it as "link first[ h]".
  std::vector<std::string> traffic(std::uint64_t records = 10) {
    if (records > 0)
      board.plan.stored("telemetry", {head + 1, head + records});
    head += records;
    std::vector<std::string> out;
    while (auto o = board.plan.next()) {
      const seq_range r{o->todo.first, std::min(o->todo.last, o->todo.first + 9)};
      board.plan.leased(*o, r, 100, t.now);
      const bool historical = o->how == store::dispatch_plan::kind::backlog;
      out.push_back(o->link + " " + std::to_string(r.first) + (historical ? " h" : ""));
    }
    return out;
  }
  void acknowledge(const std::string& link) {
    board.acknowledged(link, "telemetry", {1, head}, t);
    collect();
  }
  void collect() {
    auto e = board.take(t);
    for (auto& s : e.switches)
      said.push_back(s.kind() + " " + s.from() + ">" + s.to());
    for (auto& [name, row] : e.rows)
      rows[name] = row;
    if (e.journal)
      journals["centre"] = *e.journal;
  }
  v1::LinkReport report(const std::string& link) {
    v1::LinksReply r;
    board.fill(r, t);
    for (auto& l : r.links())
      if (l.name() == link)
        return l;
    return {};
  }
  v1::LinksReply all() {
    v1::LinksReply r;
    board.fill(r, t);
    return r;
  }

private:
  std::map<std::string, health::Health> states;
};

using strings = std::vector<std::string>;

} // namespace route_board_test
