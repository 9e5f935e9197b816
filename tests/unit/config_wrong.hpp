#pragma once

// Configurations that are wrong in one place.

#include "common/config/load.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace config_test {

using namespace holdfast::config;

/// One wrong file: exactly one problem, on this line, with this part in its text.
struct wrong {
  std::string yaml;
  int line;
  std::string part;
};

inline void check(const std::vector<wrong>& cases) {
  for (const auto& c : cases) {
    INFO(c.yaml);
    auto r = load_text(c.yaml, "t.yaml");
    for (const auto& p : r.problems)
      UNSCOPED_INFO(p.where() << ": " << p.text);
    REQUIRE(r.problems.size() == 1);
    CHECK(r.problems[0].line == c.line);
    CHECK(r.problems[0].column > 0);
    CHECK(r.problems[0].file == "t.yaml");
    CHECK(r.problems[0].text.find(c.part) != std::string::npos);
  }
}

inline std::string source_with(const std::string& fields) { return "sources:\n  - name: s\n    " + fields + "\n"; }

inline std::string link_with(const std::string& fields) {
  return "destinations: [{name: d}]\nlinks:\n  - {name: l, destination: d, connect: 'h:1',\n     " + fields + "}\n";
}

inline std::string link_to(const std::string& destination) {
  return "links:\n  - {name: l, destination: " + destination + ", connect: 'h:1'}\n";
}

inline std::string point_with(const std::string& fields) {
  return "sources:\n  - {name: s, type: modbus-tcp, connect: 'h:1', devices: [{name: d, points: [\n    {name: p, "
         + fields + "}]}]}\n";
}

} // namespace config_test
