// Opens stores and archives whose files a disk has changed, as the watchdog would: again when a life ends badly. Every
// damage is a function of the seed and its number. For tests/system/test_damage.py.

#include "services/store/salvage.hpp"
#include "tests/crash/damages.hpp"
#include "tests/crash/lives.hpp"
#include "tests/crash/sample.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace holdfast;
using namespace holdfast::crash;
namespace fs = std::filesystem;

namespace {

struct sums {
  std::uint64_t aside = 0;
  std::uint64_t deaths = 0;
  std::uint64_t kept = 0;
  std::uint64_t gone = 0;
  double slowest = 0;
};

void put(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// The damaged bytes are there whole, where they were or set aside. A file may have grown, and in its place it is used.
std::string kept_whole(const std::string& directory, const std::string& bad, bool aside) {
  if (!aside)
    return {};
  for (auto& entry : fs::directory_iterator(directory))
    if (entry.path().filename().string().starts_with("data.mdb.damaged-"))
      return {};
  return fmt::format("nothing of {} bytes is left", bad.size());
}

std::string check_report(const std::string& report, sums& s) {
  std::istringstream lines(content_of(report));
  std::uint64_t kept = 0;
  std::uint64_t gone = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string record_class;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint32_t crc = 0;
    if (line.starts_with("error"))
      return line;
    if (line.starts_with("aside") || line.starts_with("kept"))
      s.aside += line.starts_with("aside") ? 1 : 0;
    else if (!(words >> record_class >> first >> last >> crc) || last < first)
      return "a report that is none: " + line;
    else if (crc == 0)
      gone += last - first + 1;
    else if ((first - 1) % records_each != 0 || last - first + 1 != records_each || crc != crc_at(record_class, first))
      return "records that never were under these numbers: " + line;
    else
      kept += records_each;
  }
  s.kept += kept;
  s.gone += gone;
  return {};
}

// What is wrong when this is the file; empty: nothing.
std::string meet(const std::string& bad, const std::string& directory, const std::string& report, bool archive,
                 sums& s) {
  fs::remove_all(directory);
  fs::create_directories(directory);
  put(directory + "/data.mdb", bad);
  if (!archive)
    store::salvage({.file = directory + "/data.mdb"});  // whatever it is, this ends
  const auto before = s.aside;
  const auto o = lives(directory, report, archive);
  auto problem = o.problem.empty() ? check_report(report, s) : o.problem;
  if (problem.empty())
    problem = kept_whole(directory, bad, s.aside > before);
  s.deaths += static_cast<std::uint64_t>(o.lives - 1);
  s.slowest = std::max(s.slowest, o.slowest);
  if (o.slowest > 10)
    problem += fmt::format(" a life of {:.1f} s", o.slowest);
  return problem;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Opens stores and archives with damaged files."};
  std::string work = "/dev/shm/holdfast-damage";
  std::uint64_t count = 300;
  std::uint64_t seed = 1;
  std::int64_t only = -1;
  bool archive = false;
  app.add_option("--work", work, "An empty directory");
  app.add_option("--count", count, "Damages");
  app.add_option("--seed", seed, "Of all of them");
  app.add_option("--only", only, "Number of one damage");
  app.add_flag("--archive", archive, "The collector's archive");
  CLI11_PARSE(app, argc, argv);
  const auto directory = work + "/store";
  const auto report = work + "/report";
  fs::remove_all(directory);
  fs::create_directories(directory);
  archive ? make_archive(directory) : make_store(directory);
  const auto good = content_of(directory + "/data.mdb");
  sums s;
  int failed = 0;
  for (std::uint64_t n = only < 0 ? 0 : static_cast<std::uint64_t>(only); n < count; ++n) {
    dice d(seed * 1'000'003 + n);
    const auto bad = damaged(good, d);
    if (const auto problem = meet(bad.bytes, directory, report, archive, s); !problem.empty())
      fmt::print("damage {} ({}): {}\n", n, bad.what, problem), ++failed;
    if (only >= 0)
      break;
  }
  fmt::print("seed={} damages={} failed={} set_aside={} ended_lives={} records_kept={} records_gone={} "
             "slowest_start={:.2f}\n", seed, count, failed, s.aside, s.deaths, s.kept, s.gone, s.slowest);
  return failed == 0 ? 0 : 1;
}
