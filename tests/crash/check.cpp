// Builds what power cuts leave of a recorded store, opens each with the store's own code, and compares it with what the
// store had said. README.md.

#include "common/core/crc32c.hpp"
#include "common/storage/lmdb.hpp"
#include "services/store/batch_file.hpp"
#include "tests/crash/books.hpp"
#include "tests/crash/disk.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::crash;
namespace fs = std::filesystem;

namespace {

struct options {
  std::string recording;
  std::string work = "/dev/shm/holdfast-crash";
  std::string last;   // directory as the recording left it
  std::string keep;   // where to put an image
  std::uint64_t states = 20'000;
  std::uint64_t seed = 1;
  std::int64_t only = -1;  // number of a state
  lies lie;
  bool early = false;
  std::uint64_t write_every = 8;  // states in which the store is written to as well
};

/// One cut: behind so many events, and what of the unsynced is lost.
struct plan {
  std::size_t at = 0;
  loss lost = loss::everything;
  std::uint64_t draw = 0;
  friend auto operator<=>(const plan&, const plan&) = default;
};

// At every sync: all that went before arrived, or only what was synced, just before its end and behind it. Then draws.
std::vector<plan> plans(const std::vector<step>& steps, const options& o) {
  std::vector<std::size_t> changes;
  std::vector<plan> out;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto k = steps[i].what;
    const bool sync = k == kind::synced || k == kind::stable;
    if (!sync && k != kind::sent && k != kind::received && k != kind::started)
      changes.push_back(i + 1);
    if (!sync)
      continue;
    for (auto l : {loss::nothing, loss::everything})
      out.push_back({i, l, 0});
    out.push_back({i + 1, loss::everything, 0});
  }
  std::mt19937_64 random(o.seed);
  std::shuffle(out.begin(), out.end(), random);
  out.resize(std::min<std::size_t>(out.size(), o.states / 2));
  const auto first_start = std::min<std::size_t>(changes.size(), 100);
  while (out.size() < o.states) {
    const auto among = random() % 20 == 0 ? first_start : changes.size();
    const auto lost = static_cast<loss>(static_cast<int>(loss::tail) + random() % (loss_kinds - 2));
    out.push_back({changes[random() % among], lost, random()});
  }
  std::sort(out.begin(), out.end());
  return out;
}

void fill(const std::string& directory, const disk::image& image, std::mt19937_64& random) {
  fs::create_directories(directory);
  for (auto& entry : fs::directory_iterator(directory))
    if (!image.contains(entry.path().filename()))
      fs::remove(entry.path());
  for (auto& [name, bytes] : image) {
    const auto path = directory + "/" + name;
    if (name == "lock.mdb") {  // LMDB maps it and never syncs it: anything
      std::string noise(random() % 3 == 0 ? 0 : 8192, '\0');
      if (random() % 2 == 0)
        std::generate(noise.begin(), noise.end(), [&] { return static_cast<char>(random()); });
      std::ofstream(path, std::ios::trunc) << noise;
      continue;
    }
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const auto size = static_cast<off_t>(bytes.size());
    const bool written = name == "reserve" ? size == 0 || ::posix_fallocate(fd, 0, size) == 0  // only its blocks count
                                           : ::pwrite(fd, bytes.data(), bytes.size(), 0) == size;
    if (fd < 0 || !written || ::ftruncate(fd, size) != 0)
      throw std::runtime_error("failed to write " + path);
    ::close(fd);
  }
}

class checker {
public:
  explicit checker(const options& o) : o_(o), settings_{.directory = o.work, .quota = config::mib(256)} {}

  /// Opens the store in the directory; empty: it is as the books say.
  std::string check(books& b, bool write_too) {
    try {
      auto file = std::make_unique<store::batch_file>(settings_, "gateway-1", classes_);
      if (!file->set_aside().empty())
        return b.promised() ? "data.mdb was set aside" : (++anew, "");
      auto problem = b.check(*file);
      if (!problem.empty() || !write_too)
        return problem;
      write(*file);
      file.reset();
      file = std::make_unique<store::batch_file>(settings_, "gateway-1", classes_);
      return verify(*file);
    } catch (const std::exception& e) {
      return fmt::format("it does not open: {}", e.what());
    }
  }

  std::uint64_t anew = 0;     // first starts that were cut off and begun again
  std::uint64_t written = 0;  // states that were written to

private:
  // Takes pages that the file says are free: had one of them content, it would be seen.
  void write(store::batch_file& file) {
    const std::string payload(100'000, 'x');
    for (int round = 0; round < 3; ++round) {
      store::batch_file::update u(file);
      for (auto& c : classes_)
        u.append(c.name, 1, crc32c(payload), payload);
      u.commit();
    }
    ++written;
  }

  std::string verify(store::batch_file& file) {
    for (auto& c : classes_)
      for (std::uint64_t seq = 1;;) {
        const auto b = file.read_from(c.name, seq);
        if (!b)
          break;
        if (b->gap_reason != 0)
          return fmt::format("class {}: seq {} is damaged after more was written", c.name, b->seqs.first);
        seq = b->seqs.last + 1;
      }
    return {};
  }

  const options& o_;
  config::store settings_;
  std::vector<config::record_class> classes_{{"critical", 10}, {"telemetry", 100}, {"bulk", 200}};
};

// The recording explains the file byte for byte, so nothing that the store did was missed.
void compare_last(const recording& r, const options& o) {
  disk d({});
  for (auto& s : r.steps())
    d.play(s);
  std::mt19937_64 none;
  const auto image = d.cut(loss::nothing, none);
  std::ifstream in(o.last + "/data.mdb", std::ios::binary);
  const std::string real(std::istreambuf_iterator<char>(in), {});
  if (!image.contains("data.mdb") || image.at("data.mdb") != real)
    throw std::runtime_error("the recording does not explain data.mdb: a call of the store was not recorded");
}

struct tally {
  std::array<std::uint64_t, loss_kinds> of_kind{};
  std::set<std::uint64_t> images;

  void count(const plan& p, const disk::image& image) {
    ++of_kind[static_cast<std::size_t>(p.lost)];
    std::uint64_t sum = 0;
    for (auto& [name, bytes] : image)
      if (name != "reserve" && name != "lock.mdb")
        sum = sum * 1'000'003 + bytes.size() * 31 + crc32c(bytes);
    images.insert(sum);
  }

  void print() const {
    for (int i = 0; i < loss_kinds; ++i)
      fmt::print("  {:<16}{:>7}\n", name_of(static_cast<loss>(i)), of_kind[static_cast<std::size_t>(i)]);
  }
};

int run(const options& o) {
  const recording r(o.recording);
  if (!o.last.empty())
    compare_last(r, o);
  const auto all = plans(r.steps(), o);
  disk d(o.lie);
  books b(o.early);
  checker c(o);
  tally done;
  std::size_t played = 0;
  const int progress = ::open((o.work + ".state").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  for (std::size_t n = 0; n < all.size(); ++n) {
    const auto& p = all[n];
    for (; played < p.at; ++played) {
      d.play(r.steps()[played]);
      b.play(r.steps()[played]);
    }
    if (o.only >= 0 && n != static_cast<std::size_t>(o.only))
      continue;
    std::mt19937_64 random(p.draw);
    const auto image = d.cut(p.lost, random);
    fill(o.keep.empty() ? o.work : o.keep, image, random);
    if (!o.keep.empty()) {
      fmt::print("{}\n", b.told());
      return 0;
    }
    [[maybe_unused]] const auto noted = ::pwrite(progress, &n, sizeof n, 0);  // should the store's code end the process
    done.count(p, image);
    const auto problem = c.check(b, n % o.write_every == 0);
    if (problem.empty())
      continue;
    fmt::print("FAILED state {} (event {} of {}, {}): {}\n", n, p.at, r.steps().size(), name_of(p.lost), problem);
    return 1;
  }
  fmt::print("{} states of {} different images, all as promised; {} also written to; {} first starts begun again\n",
             all.size(), done.images.size(), c.written, c.anew);
  done.print();
  return 0;
}

// In a process of its own: a state may end it.
int run_apart(const options& o) {
  std::fflush(nullptr);
  const auto child = ::fork();
  if (child == 0) {
    int code = 2;
    try {
      code = run(o);
    } catch (const std::exception& e) {
      fmt::print("{}\n", e.what());
    }
    std::fflush(nullptr);
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status))
    return WEXITSTATUS(status);
  std::uint64_t n = 0;
  std::ifstream(o.work + ".state", std::ios::binary).read(reinterpret_cast<char*>(&n), sizeof n);
  fmt::print("FAILED state {}: it ends the process with signal {}\n", n, WTERMSIG(status));
  return 1;
}

} // namespace

int main(int argc, char** argv) {
  options o;
  std::vector<std::string> swallow;
  CLI::App app{"holdfast-crash-check: power cuts of a recorded store"};
  app.add_option("recording", o.recording, "what holdfast-crash-recorder wrote")->required();
  app.add_option("--states", o.states, "power cuts to try");
  app.add_option("--seed", o.seed, "of the cuts and of what is lost");
  app.add_option("--state", o.only, "only this one");
  app.add_option("--keep", o.keep, "with --state: leave the image in this directory and tell what it must hold");
  app.add_option("--work", o.work, "directory for the images; in memory is fastest");
  app.add_option("--last", o.last, "the store's directory at the end of the recording, to compare with");
  app.add_option("--swallow", swallow, "a disk that lies: fdatasync, stable (O_DSYNC), directory")
    ->check(CLI::IsMember({"fdatasync", "stable", "directory"}));
  app.add_option("--one-in", o.lie.one_in, "it does not lie each time")->check(CLI::PositiveNumber);
  app.add_flag("--early", o.early, "a store that acknowledges before its commit");
  CLI11_PARSE(app, argc, argv);
  const auto lied = [&](const char* what) { return std::find(swallow.begin(), swallow.end(), what) != swallow.end(); };
  o.lie.fdatasync = lied("fdatasync");
  o.lie.stable = lied("stable");
  o.lie.directory = lied("directory");
  const int code = run_apart(o);
  std::error_code ignored;
  fs::remove_all(o.work, ignored);
  fs::remove(o.work + ".state", ignored);
  return code;
}
