// Files: those we ship, and those that are no configuration at all.

#include "common/config/load.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

using namespace holdfast::config;

namespace {

const std::string root = HOLDFAST_SOURCE_DIR;

std::string only_problem(const result& r) {
  REQUIRE(r.problems.size() == 1);
  return r.problems[0].text;
}

std::string only_problem(const std::string& yaml) { return only_problem(load_text(yaml, "t")); }

bool has(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

struct temporary_directory {
  std::filesystem::path path
    = std::filesystem::temp_directory_path() / ("holdfast-config-" + std::to_string(::getpid()));
  temporary_directory() { std::filesystem::create_directories(path); }
  ~temporary_directory() { std::filesystem::remove_all(path); }
};

} // namespace

TEST_CASE("the shipped examples have no problems", "[config]") {
  for (const auto& entry : std::filesystem::directory_iterator(root + "/deploy/examples")) {
    if (entry.path().extension() != ".yaml")
      continue;
    auto r = load(entry.path().string());
    for (const auto& p : r.problems)
      UNSCOPED_INFO(p.where() << ": " << p.text);
    CHECK(r.problems.empty());
    CHECK(r.value.path == entry.path().string());
  }
  CHECK(load(root + "/deploy/examples/minimal.yaml").value.sources.size() == 1);
  auto full = load(root + "/deploy/examples/full.yaml").value;
  CHECK(full.sources.size() == 8);
  CHECK(full.links.at(0).tls.enabled);
  CHECK(full.collector);
}

TEST_CASE("the example of three links leaves the satellite to the critical class", "[config]") {
  const auto links = load(root + "/deploy/examples/three-links.yaml").value.links;
  REQUIRE(links.size() == 3);
  CHECK(links[0].classes.empty());
  CHECK(links[1].budget_day == gib(2));
  CHECK(links[1].tuning.monitor.failover == milliseconds(500));
  CHECK(links[2].classes == std::vector<std::string>{"critical"});
  CHECK(links[2].on_demand);
  CHECK(links[2].tuning.monitor.probe_budget == 1'000'000);
  CHECK(links[2].tuning.monitor.failover == milliseconds(1000));
}

TEST_CASE("the shipped schema is the generated one", "[config]") {
  std::ifstream file{root + "/deploy/holdfast.schema.json"};
  std::ostringstream shipped;
  shipped << file.rdbuf();
  CHECK((shipped.str() == json_schema())); // doubled: no 100 KiB of text when it fails
}

TEST_CASE("what cannot be read is a problem", "[config]") {
  CHECK(has(only_problem(load("/nonexistent/holdfast.yaml")), "No such file"));
  CHECK(has(only_problem(load("/tmp")), "is a directory"));
  CHECK(load("/tmp").problems[0].where() == "/tmp");
  CHECK(has(only_problem(load("/dev/zero")), "larger than 4MiB"));
  CHECK(has(only_problem(load("/dev/null")), "is empty"));
}

TEST_CASE("an unreadable file is a problem", "[config]") {
  if (::geteuid() == 0)
    return; // root reads everything
  temporary_directory directory;
  const auto path = directory.path / "secret.yaml";
  std::ofstream{path} << "name: x\n";
  std::filesystem::permissions(path, std::filesystem::perms::none);
  CHECK(has(only_problem(load(path.string())), "Permission denied"));
}

TEST_CASE("texts that are no configuration", "[config]") {
  for (const auto* text : {"", "# only a comment\n", "---\n", "~"})
    CHECK(has(only_problem(std::string{text}), "the file is empty"));
  CHECK(has(only_problem("hello"), "expected a map of sections"));
  CHECK(has(only_problem("- a"), "expected a map of sections"));
  CHECK(has(only_problem("name: a\n---\nname: b\n"), "second document"));
  CHECK(has(only_problem("[a]: b"), "a key must be a plain word"));
  CHECK(has(only_problem(std::string((std::size_t{4} << 20) + 1, '#')), "larger than 4MiB"));
}

TEST_CASE("malformed YAML is reported where it breaks", "[config]") {
  auto r = load_text("name: a\nlog: {level: [}\n", "t.yaml");
  CHECK(has(only_problem(r), "malformed YAML"));
  CHECK(r.problems[0].where().substr(0, 9) == "t.yaml:2:");
  CHECK(has(only_problem("log: *nothing"), "malformed YAML"));
  CHECK(has(only_problem("name: \"x"), "malformed YAML"));
}

TEST_CASE("alias bombs and deep nesting end early", "[config]") {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const auto alias = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j)
      bomb += (j ? "," : "") + alias;
    bomb += "]\n";
  }
  CHECK(has(only_problem(bomb), "more than 250000 values"));
  CHECK(has(only_problem("a: &a [*a]"), "alias within its own anchor"));

  std::string deep;
  for (int i = 0; i < 5000; ++i)
    deep += "- ";
  CHECK(has(only_problem(deep), "nested deeper"));
}

TEST_CASE("any bytes are answered, not thrown at", "[config]") {
  std::string all;
  for (int i = 0; i < 256; ++i)
    all += static_cast<char>(i);
  CHECK_FALSE(load_text(all, "t").problems.empty());
  CHECK_FALSE(load_text(std::string(1000, '\0'), "t").problems.empty());
  std::string many;
  for (int i = 0; i < 2000; ++i)
    many += "k" + std::to_string(i) + ": 1\n";
  CHECK(load_text(many, "t").problems.size() == 501);
}

TEST_CASE("no prefix and no damaged byte of a good file throws", "[config]") {
  std::ifstream file{root + "/deploy/examples/full.yaml"};
  std::ostringstream stream;
  stream << file.rdbuf();
  const auto good = stream.str();
  REQUIRE(good.size() > 1000);
  for (std::size_t i = 0; i < good.size(); i += 61) {
    CHECK_NOTHROW(load_text(good.substr(0, i), "t"));
    auto damaged = good;
    damaged[i] = "[{&*!\t\0:-\"'"[i % 11];
    CHECK_NOTHROW(load_text(damaged, "t"));
  }
}
