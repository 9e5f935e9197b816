// The runs: many seeds, the search for the smallest failing one, and the proof that each deliberate defect is seen.

#include "tests/simulation/site.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <optional>

namespace holdfast::simulation {

namespace {

using namespace std::chrono_literals;

enum class manner { safety, liveness };
constexpr const char* names[] = {"safety", "liveness"};

constexpr auto safety_length = 40s;
constexpr auto liveness_faults = 20s;
constexpr auto liveness_bound = 300s;
constexpr unsigned most_shrinks = 300;
constexpr unsigned most_defect_seeds = 300;
constexpr std::uint64_t most_repeats = 10;

struct outcome {
  std::optional<std::string> why;
  duration at{}, drained{};
  std::uint64_t steps = 0, records = 0, late = 0, returned = 0, outlived = 0, gave_way = 0;
  std::vector<std::string> lines;
};

struct run_of {
  std::uint64_t seed;
  manner how;
  defect broken = defect::none;
};

// The number of links and collectors is not known before the site: faults name any, and the site takes the remainder.
std::vector<fault> faults_of(const run_of& r) {
  dice d(r.seed ^ 0xFA017);
  return draw_faults(d, r.how == manner::safety ? safety_length : liveness_faults, 12, 2);
}

outcome simulate(const run_of& r, std::vector<fault> faults, bool tracing) {
  outcome out;
  site s(r.seed, r.broken, tracing, std::move(faults));
  try {
    r.how == manner::safety ? s.run_safety(safety_length) : s.run_liveness(liveness_faults, liveness_bound);
  } catch (const std::exception& e) {
    out.why = e.what();
  }
  out.at = s.w.now() - world::begin();
  out.drained = s.drained;
  out.steps = s.w.steps();
  out.records = s.model.records();
  out.late = s.model.late();
  out.returned = s.model.returned();
  out.outlived = s.model.outlived();
  out.gave_way = s.model.gave_way();
  out.lines.assign(s.w.lines().begin(), s.w.lines().end());
  return out;
}

// "contract 5", "liveness", ...: the same trouble, whatever the numbers.
std::string kind_of(const std::string& why) { return why.substr(0, why.find(':')); }

/// Leaves out faults, in ever smaller groups, as long as the run still fails in the same way.
std::vector<fault> shrink(const run_of& r, std::vector<fault> faults, const outcome& first) {
  const auto kind = kind_of(*first.why);
  std::erase_if(faults, [&](auto& f) { return f.at > first.at; });
  unsigned tries = 0;
  for (auto group = std::max<std::size_t>(faults.size() / 2, 1); group > 0 && tries < most_shrinks;
       group = group == 1 ? 0 : group / 2)
    for (std::size_t from = 0; from < faults.size() && tries < most_shrinks; ++tries) {
      auto fewer = faults;
      const auto to = std::min(from + group, fewer.size());
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(from), fewer.begin() + static_cast<std::ptrdiff_t>(to));
      const auto o = simulate(r, fewer, false);
      if (o.why && kind_of(*o.why) == kind)
        faults = std::move(fewer);
      else
        from += group;
    }
  return faults;
}

void print_lines(const outcome& o, std::size_t most) {
  const auto n = o.lines.size();
  for (auto i = n > most ? n - most : 0; i < n; ++i)
    std::cout << "    " << o.lines[i] << '\n';
}

void explain(const run_of& r, const outcome& first, std::size_t lines) {
  const auto* how = names[static_cast<int>(r.how)];
  std::cout << fmt::format("FAILED {} seed {}: {}\n  again: tests/simulation/run --{} 1 --seed {} --trace{}\n", how,
                           r.seed, *first.why, how, r.seed,
                           r.broken == defect::none ? "" : fmt::format(" --defect {}", to_string(r.broken)));
  const auto all = faults_of(r);
  const auto faults = shrink(r, all, first);
  const auto last = simulate(r, faults, true);
  std::cout << fmt::format("  {} of {} faults are enough:\n", faults.size(), all.size());
  const site names_of(r.seed, r.broken, false, {});
  for (auto& f : faults)
    std::cout << "    " << names_of.describe(f) << '\n';
  std::cout << "  the last events before: " << last.why.value_or("nothing") << '\n';
  print_lines(last, lines);
  std::cout << std::flush;
}

/// The same seed gives the same run, to the last event.
std::string repeats(const run_of& r) {
  const auto a = simulate(r, faults_of(r), true);
  const auto b = simulate(r, faults_of(r), true);
  if (a.lines == b.lines && a.steps == b.steps)
    return {};
  const auto n = std::min(a.lines.size(), b.lines.size());
  const auto at = std::mismatch(a.lines.begin(), a.lines.begin() + static_cast<std::ptrdiff_t>(n), b.lines.begin());
  return fmt::format("seed {} does not repeat: {}", r.seed, at.first == a.lines.end() ? "longer" : *at.first);
}

struct sums {
  std::uint64_t runs = 0, failed = 0, steps = 0, records = 0, late = 0, returned = 0, outlived = 0, gave_way = 0;
  duration slowest{};
  std::string first{};
};

sums campaign(manner how, std::uint64_t from, std::uint64_t count, defect broken, std::size_t lines) {
  const auto began = clock::now();
  sums s;
  for (auto seed = from; seed < from + count; ++seed) {
    const run_of r{seed, how, broken};
    const auto o = simulate(r, faults_of(r), false);
    ++s.runs;
    s.steps += o.steps;
    s.records += o.records;
    s.late += o.late;
    s.returned += o.returned;
    s.outlived += o.outlived;
    s.gave_way += o.gave_way;
    s.slowest = std::max(s.slowest, o.drained);
    if (!o.why)
      continue;
    if (++s.failed == 1) {
      explain(r, o, lines);
      s.first = *o.why;
    } else if (s.failed <= 20) {
      std::cout << fmt::format("FAILED {} seed {}: {}\n", names[static_cast<int>(how)], seed, *o.why) << std::flush;
    }
  }
  const std::chrono::duration<double> took = clock::now() - began;
  std::cout << fmt::format("{}: {} seeds, {} failed; {:.1f} s, {:.1f} M steps ({:.0f} per ms), {} records stored, {} "
                           "gave way",
                           names[static_cast<int>(how)], s.runs, s.failed, took.count(),
                           static_cast<double>(s.steps) / 1e6,
                           static_cast<double>(s.steps) / 1e3 / took.count(), s.records, s.gave_way);
  if (how == manner::liveness)
    std::cout << fmt::format("; slowest recovery {:.1f} s", std::chrono::duration<double>(s.slowest).count());
  std::cout << fmt::format("; out of order: {} live from an ended lease, {} backlog that a suspected link returned, {} "
                           "that gave way on their way\n",
                           s.late, s.returned, s.outlived) << std::flush;
  return s;
}

/// Seeds until the defect is seen, safety and liveness in turn; 0: never.
std::uint64_t seeds_to_see(defect d, std::uint64_t from, std::string& why) {
  for (std::uint64_t n = 1; n <= most_defect_seeds; ++n) {
    const run_of r{from + (n - 1) / 2, n % 2 == 1 ? manner::safety : manner::liveness, d};
    if (const auto o = simulate(r, faults_of(r), false); o.why) {
      why = *o.why;
      return n;
    }
  }
  return 0;
}

class report {
public:
  void add(const std::string& name, const std::string& trouble) {
    failed_ += trouble.empty() ? 0 : 1;
    ++all_;
    text_ += fmt::format("  <testcase classname=\"simulation\" name=\"{}\">{}</testcase>\n", name,
                         trouble.empty() ? "" : "<failure/>");
  }
  void write(const std::string& file) const {
    std::ofstream(file) << fmt::format("<testsuites><testsuite name=\"simulation\" tests=\"{}\" failures=\"{}\">\n{}"
                                       "</testsuite></testsuites>\n", all_, failed_, text_);
  }
  int failed() const noexcept { return failed_; }

private:
  std::string text_;
  int all_ = 0;
  int failed_ = 0;
};

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Deterministic simulation of a gateway, its links and its centre"};
  std::uint64_t safety = 2000, liveness = 500, seed = 1;
  std::size_t lines = 60;
  bool trace = false, no_defects = false;
  std::string broken, junit;
  auto* s = app.add_option("--safety", safety, "Seeds with faults to the end (2000)");
  auto* l = app.add_option("--liveness", liveness, "Seeds whose faults stop (500)");
  app.add_option("--seed", seed, "The first seed (1)");
  app.add_flag("--trace", trace, "One seed, and what happened in it");
  app.add_option("--lines", lines, "Of a trace (60)");
  app.add_option("--defect", broken, "With this deliberate defect");
  app.add_flag("--no-defects", no_defects, "Do not prove that defects are seen");
  app.add_option("--junit", junit, "Write results for tests/count");
  CLI11_PARSE(app, argc, argv);
  const auto at = std::find(defect_names.begin(), defect_names.end(), broken.empty() ? "none" : broken);
  if (at == defect_names.end()) {
    std::cerr << "no such defect: " << broken << '\n';
    return 2;
  }
  const auto d = static_cast<defect>(at - defect_names.begin());
  const bool only_one = s->count() + l->count() == 1;
  const bool wanted[] = {!only_one || s->count() > 0, !only_one || l->count() > 0};
  report results;
  if (!trace) {
    std::string why;
    for (std::uint64_t n = 0; n < most_repeats && why.empty(); ++n)
      why = repeats({seed + n, n % 2 == 0 ? manner::safety : manner::liveness, d});
    std::cout << (why.empty() ? "one seed, one run\n" : why + "\n");
    results.add("one seed, one run", why);
  }
  for (auto how : {manner::safety, manner::liveness}) {
    if (!wanted[static_cast<int>(how)])
      continue;
    if (trace) {
      const run_of r{seed, how, d};
      const auto o = simulate(r, faults_of(r), true);
      o.why ? explain(r, o, lines) : print_lines(o, lines);
      results.add(names[static_cast<int>(how)], o.why.value_or(""));
      continue;
    }
    const auto sum = campaign(how, seed, how == manner::safety ? safety : liveness, d, lines);
    results.add(fmt::format("{} {} seeds", names[static_cast<int>(how)], sum.runs), sum.first);
  }
  if (!trace && !no_defects && !only_one && d == defect::none)
    for (std::size_t i = 1; i < defect_names.size(); ++i) {
      std::string why;
      const auto n = seeds_to_see(static_cast<defect>(i), seed, why);
      std::cout << (n == 0 ? fmt::format("NOT SEEN {} in {} seeds\n", defect_names[i], most_defect_seeds)
                           : fmt::format("seen with {:>3} seeds: {:<26} {}\n", n, defect_names[i], why)) << std::flush;
      results.add(fmt::format("defect {}", defect_names[i]), n == 0 ? "not seen" : "");
    }
  if (!junit.empty())
    results.write(junit);
  return results.failed() == 0 ? 0 : 1;
}

} // namespace holdfast::simulation

int main(int argc, char** argv) { return holdfast::simulation::main(argc, argv); }
