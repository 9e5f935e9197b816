#pragma once

#include "common/config/config.hpp"

#include <iosfwd>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::config {

/// One thing wrong with a file: "FILE:LINE:COLUMN: text".
struct problem {
  std::string file;
  int line = 0;    // 1-based; 0: unknown
  int column = 0;
  std::string text;
  std::string where() const;   ///< FILE:LINE:COLUMN
};

struct result {
  gateway value;
  std::vector<problem> problems;   ///< empty: value is complete and valid
};

/// Reads and checks a file: all problems at once, never an exception. Environment references ${NAME} and
/// ${NAME:-default} in scalars are replaced first; a missing variable without default is a problem.
result load(const std::string& path);

/// The same for a text; `name` stands for the file in messages.
result load_text(std::string_view yaml, const std::string& name);

/// JSON Schema (draft 2020-12) of the file, from the same declarations.
std::string json_schema();

// -- the steps of load(), one source file each; of no interest to callers -------------------------------------------

namespace detail {

/// Where something stands in the file, 1-based; 0: unknown.
struct place {
  int line = 0;
  int column = 0;
};

/// One YAML node: aliases resolved, environment references replaced. A map's values are in `items`, as many as `keys`.
struct node {
  enum class type { null, scalar, sequence, map };
  struct key {
    std::string text;
    place at;
  };
  type kind = type::null;
  place at;
  std::string text{};
  bool broken = false;  ///< its problem has been reported; no value follows from it
  std::vector<key> keys{};
  std::vector<node> items{};
};

/// Where the value of each field came from, by the field's address: valid while the gateway is neither moved nor grown.
using places = std::map<const void*, place>;

/// Collects the problems of one file.
struct report {
  std::string file;
  std::vector<problem> problems;
  void add(place at, std::string text);
};

/// YAML to one tree of nodes; nothing when the text is malformed, empty or beyond the limits (document.cpp).
std::optional<node> parse(std::string_view yaml, report& to);

/// Replaces ${NAME} and ${NAME:-default}; nothing when that failed, which has been reported (environment.cpp).
std::optional<std::string> expand_environment(const std::string& text, place at, report& to);

/// The tree into the structs, field by field (reader.cpp).
void read(const node& root, gateway& into, places& where, report& to);

/// What concerns more than one field: names, references, streams, addresses (check.cpp, check_sources.cpp), and whether
/// each class has a way to who wants it (check_ways.cpp).
void check(const gateway& value, const places& where, report& to);
void check_sources(const gateway& value, const places& where, report& to);
void check_ways(const gateway& value, const places& where, report& to);

/// That a source can make: its size, and the record that crosses that (check_sources.cpp).
bytes largest_batch(const source& s);

/// "; did you mean 'x'?" when a candidate is near, else "; allowed: a, b" (suggestion.cpp).
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

/// A text of the file for a message: quoted, shortened, without control characters (suggestion.cpp).
std::string quoted(std::string_view text);

} // namespace detail

} // namespace holdfast::config
