#include "common/config/load.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/stat.h>

namespace holdfast::config {

namespace {

constexpr std::size_t max_file_size = std::size_t{4} << 20;
constexpr std::size_t max_problems = 500;

void refuse(result& r, const std::string& name, std::string text) {
  r.problems.push_back({name, 0, 0, std::move(text)});
}

/// The whole file, or a problem.
std::optional<std::string> contents(const std::string& path, result& r) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "rb"), std::fclose};
  struct stat status {};
  if (!file || ::fstat(::fileno(file.get()), &status) != 0) {
    refuse(r, path, std::string{"cannot be read: "} + std::strerror(errno));
    return std::nullopt;
  }
  if (S_ISDIR(status.st_mode)) {
    refuse(r, path, "is a directory; a YAML file is needed");
    return std::nullopt;
  }
  // Pipes and /dev files have no size: what counts is what is read.
  std::string text(max_file_size + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get())) {
    refuse(r, path, std::string{"cannot be read: "} + std::strerror(errno));
    return std::nullopt;
  }
  return text;
}

/// Defaults that depend on other fields.
void complete(gateway& g) {
  if (g.classes.empty())
    g.classes = {{"critical", 10}, {"telemetry", 100}, {"bulk", 200}};
  for (auto& s : g.sources) {
    const bool transparent
      = !std::holds_alternative<modbus_source>(s.kind) && !std::holds_alternative<simulator_source>(s.kind);
    if (transparent && s.stream.empty())
      s.stream = s.name;
  }
}

void sort_by_place(std::vector<problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const problem& a, const problem& b) {
    return std::pair{a.line, a.column} < std::pair{b.line, b.column};
  });
}

void read_and_check(std::string_view yaml, gateway& value, detail::report& to) {
  auto root = detail::parse(yaml, to);
  if (!root)
    return;
  if (root->kind != detail::node::type::map) {
    to.add(root->at, "expected a map of sections such as 'sources:' and 'links:' at the top");
    return;
  }
  detail::places where;
  detail::read(*root, value, where, to);
  complete(value);
  detail::check(value, where, to);
}

} // namespace

std::string problem::where() const {
  return line > 0 ? file + ":" + std::to_string(line) + ":" + std::to_string(column) : file;
}

void detail::report::add(place at, std::string text) {
  if (problems.size() > max_problems)
    return;
  if (problems.size() == max_problems) {
    at = {}; // first in the list
    text = "too many problems; not all are listed";
  }
  problems.push_back({file, at.line, at.column, std::move(text)});
}

result load_text(std::string_view yaml, const std::string& name) {
  result r;
  r.value.path = name;
  if (yaml.size() > max_file_size) {
    refuse(r, name, "is larger than 4MiB, the most a configuration may have");
    return r;
  }
  detail::report to{name, {}};
  read_and_check(yaml, r.value, to);
  sort_by_place(to.problems);
  r.problems = std::move(to.problems);
  return r;
}

result load(const std::string& path) {
  result r;
  r.value.path = path;
  auto text = contents(path, r);
  return text ? load_text(*text, path) : r;
}

} // namespace holdfast::config
