#include "tests/crash/lives.hpp"

#include "common/core/crc32c.hpp"
#include "common/storage/lmdb.hpp"
#include "services/collector/archive.hpp"
#include "services/store/batch_file.hpp"
#include "tests/crash/sample.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::crash {

namespace {

constexpr int most_lives = 8;  // three that die, the examination, one that meets it in use, ...

enum end : int { well = 0, refused = 1, met_damage = 2 };

// What the store's actors do: all batches, a commit with an offer and a removal. Told: "class first last held|gap".
end live_store(const std::string& directory, const std::string& report) {
  std::ofstream told(report, std::ios::trunc);
  store::batch_file f({.directory = directory, .quota = config::mib(64)}, "gateway-1", classes());
  try {
    store::producer_table producers;
    store::delivery_state delivery;
    delivery.want("centre", "telemetry");
    delivery.want("centre", "critical");
    f.load(producers, delivery);
    for (auto& c : classes())
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
    u.append("telemetry", records_each, crc32c(bytes), bytes);
    for (auto& free : delivery.settled("telemetry"))
      u.remove("telemetry", free);
    u.remove("critical", {1, 30});
    u.delivered("centre", "critical", {{1, std::clamp<std::uint64_t>(f.head("critical"), 1, 30)}});
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
    present.take(origin, {1, records_each});
    a.append({{origin, {1, records_each}, crc32c(bytes), 0, false, bytes}}, present);
    told << (a.same(origin, {1, records_each}, crc32c(bytes)) ? "" : "error what was stored is not there\n");
  } catch (const storage::error& e) {
    a.condemn(e);
    return met_damage;
  }
  told << (a.set_aside().empty() ? "kept\n" : "aside\n");
  return told.flush() ? well : refused;
}

} // namespace

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
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    out.slowest = std::max(out.slowest, took.count());
    if (WIFEXITED(status) && WEXITSTATUS(status) == well)
      return out;
    if (WIFEXITED(status) && WEXITSTATUS(status) == refused)
      return out.problem = "it refuses: " + content_of(report).substr(0, 300), out;
  }
  out.problem = fmt::format("still no good life after {}: {}", out.lives, content_of(report).substr(0, 300));
  return out;
}

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

} // namespace holdfast::crash
