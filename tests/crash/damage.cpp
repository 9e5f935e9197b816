// Opens stores and archives whose files a disk has changed, as the watchdog would: again when a life ends badly. Every
// damage is a function of the seed and its number. For tests/system/test_damage.py.

#include "common/core/crc32c.hpp"
#include "common/storage/lmdb.hpp"
#include "holdfast/v1/record.pb.h"
#include "services/collector/archive.hpp"
#include "services/store/batch_file.hpp"
#include "services/store/salvage.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
namespace fs = std::filesystem;
using dice = std::mt19937_64;

namespace {

constexpr std::size_t page = 4096;
constexpr std::uint64_t batches = 1200;
constexpr std::uint64_t delivered = 200;  // of them
constexpr std::uint32_t each = 3;         // records
constexpr int most_lives = 8;             // three that die, the examination, one that meets it in use, ...

const std::vector<config::record_class> classes{{"critical", 10}, {"telemetry", 100}};

std::string payload(std::uint64_t number) {
  v1::Batch b;
  b.add_streams("press-7/force");
  const std::size_t bytes = number % 3 == 0 ? 20 : number % 3 == 1 ? 500 : 3000;
  for (std::uint32_t i = 0; i < each; ++i)
    b.add_records()->set_data(std::string(bytes, static_cast<char>('a' + (number + i) % 26)));
  return b.SerializeAsString();
}

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// A store with a backlog, or an archive; sound.
void make_store(const std::string& directory) {
  store::batch_file f({.directory = directory, .quota = config::mib(64)}, "gateway-1", classes);
  for (std::uint64_t n = 0; n < batches;) {
    store::batch_file::update u(f);
    for (std::uint64_t i = 0; i < 8; ++i, ++n)
      u.append("telemetry", each, crc32c(payload(n)), payload(n));
    u.append("critical", each, crc32c(payload(n)), payload(n));
    u.producer("acquisition/lines", "telemetry", n, std::to_string(n));
    u.delivered("centre", "telemetry", {{1, std::min(n, delivered) * each}});
    u.remove("telemetry", {1, std::min(n, delivered) * each});
    u.commit();
  }
}

void make_archive(const std::string& directory) {
  collector::archive a({.directory = directory, .quota = config::mib(64)});
  collector::inbox present;
  const collector::origin origin{"gateway-1", 7, "telemetry"};
  a.load(present);
  for (std::uint64_t n = 0; n < batches / 2; ++n) {
    const seq_range r{n * each + 1, (n + 1) * each};
    present.take(origin, r);
    const auto bytes = payload(n);
    a.append({{origin, r, crc32c(bytes), 0, false, bytes}}, present);
  }
}

struct damage {
  std::string what;
  std::string bytes;
};

damage damaged(const std::string& good, dice& d) {
  auto bad = good;
  const auto pages = good.size() / page;
  const auto any = [&] { return d() % bad.size(); };
  const auto some_pages = [&](auto change) {
    const auto n = 1 + d() % (d() % 4 == 0 ? 60 : 4);
    for (std::uint64_t i = 0; i < n; ++i)
      change(bad.data() + (d() % pages) * page);
    return n;
  };
  switch (d() % 12) {
    case 0: bad[any()] ^= static_cast<char>(1 << d() % 8); return {"one bit", bad};
    case 1: {
      const auto n = 2 + d() % 1000;
      for (std::uint64_t i = 0; i < n; ++i)
        bad[any()] ^= static_cast<char>(1 << d() % 8);
      return {fmt::format("{} bits", n), bad};
    }
    case 2: return {fmt::format("{} pages zero", some_pages([](char* p) { std::memset(p, 0, page); })), bad};
    case 3: return {fmt::format("{} pages of rubbish", some_pages([&](char* p) {
      std::generate(p, p + page, [&] { return static_cast<char>(d()); });
    })), bad};
    case 4: return {fmt::format("{} sectors zero", some_pages([&](char* p) { std::memset(p + d() % 8 * 512, 0, 512); })), bad};
    case 5: return {fmt::format("{} page headers", some_pages([&](char* p) { p[8 + d() % 8] ^= static_cast<char>(1 << d() % 8); })),
                    bad};
    case 6: return {fmt::format("{} node lists", some_pages([&](char* p) { p[16 + d() % 64] ^= static_cast<char>(1 << d() % 8); })),
                    bad};
    case 7: return {fmt::format("{} pages moved", some_pages([&](char* p) {
      std::memcpy(p, good.data() + (d() % pages) * page, page);
    })), bad};
    case 8: {
      const auto n = d() % 5 == 0 ? d() % (3 * page) : any();
      return {fmt::format("cut to {} bytes", n), bad.substr(0, n)};
    }
    case 9: {
      const auto n = 1 + d() % (64 * page);
      return {fmt::format("{} bytes of rubbish behind", n), bad + std::string(n, static_cast<char>(d()))};
    }
    case 10: {
      const auto at = d() % (2 * page);
      bad[at] ^= static_cast<char>(1 << d() % 8);
      return {fmt::format("a bit of a meta page, at {}", at), bad};
    }
    default: {
      const auto from = any();
      std::memset(bad.data() + from, 0, bad.size() - from);
      return {fmt::format("zero from {}", from), bad};
    }
  }
}

// -- one life, in a process of its own --------------------------------------------------------------------------------

enum end : int { well = 0, refused = 1, met_damage = 2 };

// What the store's actors do: all batches, a commit with an offer and a removal. Told: "class first last held|gap".
end live_store(const std::string& directory, const std::string& report) {
  std::ofstream told(report, std::ios::trunc);
  store::batch_file f({.directory = directory, .quota = config::mib(64)}, "gateway-1", classes);
  try {
    store::producer_table producers;
    store::delivery_state delivery;
    delivery.want("centre", "telemetry");
    delivery.want("centre", "critical");
    f.load(producers, delivery);
    for (auto& c : classes)
      for (auto& missing : delivery.missing("centre", c.name, f.head(c.name)))
        for (auto seq = missing.first; seq <= missing.last;) {
          const auto b = f.read_from(c.name, seq);
          const auto last = b && b->seqs.first <= seq ? std::min(b->seqs.last, missing.last)
                                                      : std::min(b ? b->seqs.first - 1 : missing.last, missing.last);
          const bool held = b && b->seqs.first <= seq && b->gap_reason == 0;
          told << c.name << ' ' << seq << ' ' << last << ' ' << (held ? crc32c(b->payload.view()) : 0) << '\n';
          seq = last + 1;
        }
    store::batch_file::update u(f);
    const auto bytes = payload(0);
    u.append("telemetry", each, crc32c(bytes), bytes);
    for (auto& free : delivery.settled("telemetry"))
      u.remove("telemetry", free);
    u.remove("critical", {1, 30});
    u.delivered("centre", "critical", {{1, std::min<std::uint64_t>(30, std::max<std::uint64_t>(f.head("critical"), 1))}});
    u.commit();
  } catch (const storage::error& e) {
    f.condemn(e);
    told << "error " << e.what() << '\n';
    return met_damage;
  }
  told << (f.set_aside().empty() ? "kept\n" : "aside " + f.salvaged() + "\n");
  return told.flush() ? well : refused;
}

end live_archive(const std::string& directory, const std::string& report) {
  std::ofstream told(report, std::ios::trunc);
  collector::archive a({.directory = directory, .quota = config::mib(64)});
  try {
    collector::inbox present;
    a.load(present);
    const collector::origin origin{"gateway-1", 8, "telemetry"};
    const auto bytes = payload(1);
    present.take(origin, {1, each});
    a.append({{origin, {1, each}, crc32c(bytes), 0, false, bytes}}, present);
    told << (a.same(origin, {1, each}, crc32c(bytes)) ? "" : "error what was stored is not there\n");
  } catch (const storage::error& e) {
    a.condemn(e);
    return met_damage;
  }
  told << (a.set_aside().empty() ? "kept\n" : "aside\n");
  return told.flush() ? well : refused;
}

struct outcome {
  int lives = 0;
  double slowest = 0;
  std::string problem{};
};

outcome lives(const std::string& directory, const std::string& report, bool archive) {
  outcome out;
  while (out.lives < most_lives) {
    ++out.lives;
    const auto began = std::chrono::steady_clock::now();
    const auto child = ::fork();
    if (child == 0) {
      const rlimit none{0, 0};
      ::setrlimit(RLIMIT_CORE, &none);
      const int log = ::open((report + ".log").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
      ::dup2(log, STDERR_FILENO);
      ::alarm(12);  // the watchdog's patience
      try {
        ::_exit(archive ? live_archive(directory, report) : live_store(directory, report));
      } catch (const std::exception& e) {
        std::ofstream(report, std::ios::app) << "error " << e.what() << '\n';
        ::_exit(refused);
      }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    out.slowest = std::max(out.slowest, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    if (WIFEXITED(status) && WEXITSTATUS(status) == well)
      return out;
    if (WIFEXITED(status) && WEXITSTATUS(status) == refused)
      return out.problem = "it refuses: " + content_of(report).substr(0, 300), out;
  }
  out.problem = fmt::format("still no good life after {}: {}", out.lives, content_of(report).substr(0, 300));
  return out;
}

// -- what must be so --------------------------------------------------------------------------------------------------

struct sums {
  std::uint64_t aside = 0;
  std::uint64_t deaths = 0;
  std::uint64_t kept = 0;
  std::uint64_t gone = 0;
  double slowest = 0;
};

std::uint32_t crc_at(const std::string& record_class, std::uint64_t seq) {
  const auto batch = (seq - 1) / each;
  return crc32c(payload(record_class == "telemetry" ? batch : (batch + 1) * 8));
}

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
    else if ((first - 1) % each != 0 || last - first + 1 != each || crc != crc_at(record_class, first))
      return "records that never were under these numbers: " + line;
    else
      kept += each;
  }
  s.kept += kept;
  s.gone += gone;
  return {};
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
    fs::remove_all(directory);
    fs::create_directories(directory);
    put(directory + "/data.mdb", bad.bytes);
    std::string problem;
    if (!archive)
      store::salvage({.file = directory + "/data.mdb"});  // whatever it is, this ends
    const auto before = s.aside;
    const auto o = lives(directory, report, archive);
    problem = o.problem.empty() ? check_report(report, s) : o.problem;
    if (problem.empty())
      problem = kept_whole(directory, bad.bytes, s.aside > before);
    s.deaths += static_cast<std::uint64_t>(o.lives - 1);
    s.slowest = std::max(s.slowest, o.slowest);
    if (o.slowest > 10)
      problem += fmt::format(" a life of {:.1f} s", o.slowest);
    if (!problem.empty())
      fmt::print("damage {} ({}): {}\n", n, bad.what, problem), ++failed;
    if (only >= 0)
      break;
  }
  fmt::print("seed={} damages={} failed={} set_aside={} ended_lives={} records_kept={} records_gone={} slowest_start={:.2f}\n",
             seed, count, failed, s.aside, s.deaths, s.kept, s.gone, s.slowest);
  return failed == 0 ? 0 : 1;
}
