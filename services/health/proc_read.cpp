#include "services/health/proc.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace holdfast::health::proc {

namespace {

// Files of /proc have no size of their own; none of ours is near this.
constexpr std::size_t file_limit = 64 * 1024;
// smaps_rollup walks the page tables of the process: seldom, and never more than a thousandth of our time.
constexpr milliseconds pss_pause{30000};
constexpr int pss_cost = 1000;

std::optional<std::string> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return std::nullopt;
  std::string out;
  std::array<char, 4096> chunk;
  ssize_t n = 0;
  while (out.size() < file_limit && (n = ::read(fd, chunk.data(), chunk.size())) > 0)
    out.append(chunk.data(), static_cast<std::size_t>(n));
  ::close(fd);
  if (n < 0)
    return std::nullopt;
  return out;
}

/// Calls f with the path of every entry; false when the directory may not be read.
template <class F> bool each_entry(const std::string& directory, F f) {
  auto* d = ::opendir(directory.c_str());
  if (d == nullptr)
    return false;
  while (const auto* entry = ::readdir(d))
    if (entry->d_name[0] != '.')
      f(directory + "/" + entry->d_name);
  ::closedir(d);
  return true;
}

template <class T> auto parsed(const std::optional<std::string>& text, T parse) -> decltype(parse({})) {
  if (!text)
    return {};
  return parse(*text);
}

std::optional<disk> read_disk(std::filesystem::path directory) {
  struct ::statvfs fs {};
  while (::statvfs(directory.c_str(), &fs) != 0) {
    if (!directory.has_relative_path())
      return std::nullopt;
    directory = directory.parent_path();
  }
  return disk{directory.string(), fs.f_blocks * fs.f_frsize, fs.f_bavail * fs.f_frsize};
}

} // namespace

sampler::sampler(std::string run_directory, std::string disk_directory, std::string root)
    : run_directory_(std::move(run_directory)), disk_directory_(std::move(disk_directory)), root_(std::move(root)) {}

// A heartbeat tells the pid in the sender's own pid namespace; in ours that number may be anybody. Only the instance
// itself holds its lock file open, so that file among the process's descriptors proves who it is.
bool sampler::is(const std::string& instance, const std::string& directory) const {
  struct ::stat lock {};
  if (::stat((run_directory_ + "/" + instance + ".lock").c_str(), &lock) != 0)
    return false;
  bool found = false;
  each_entry(directory + "/fd", [&](const std::string& path) {
    struct ::stat file {};
    found = found || (::stat(path.c_str(), &file) == 0 && file.st_ino == lock.st_ino && file.st_dev == lock.st_dev);
  });
  return found;
}

void sampler::read_pss(history& h, const std::string& directory, milliseconds now) const {
  if (now < h.pss_due)
    return;
  const auto begin = std::chrono::steady_clock::now();
  h.pss = parsed(read_file(directory + "/smaps_rollup"), parse_pss);
  const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
  h.pss_due = now + std::max(pss_pause, took * pss_cost);
}

std::optional<usage> sampler::process(const std::string& instance, std::int64_t pid, milliseconds now) {
  const auto directory = root_ + "/" + std::to_string(pid);
  const auto s = parsed(read_file(directory + "/stat"), parse_stat);
  if (pid <= 0 || !s)
    return std::nullopt;
  auto& h = known_[instance];
  const bool same = h.pid == pid && h.start_ticks == s->start_ticks;
  if (!same) {
    if (!is(instance, directory)) {
      known_.erase(instance);
      return std::nullopt;
    }
    h = {.pid = pid, .start_ticks = s->start_ticks, .pss = {}};
  }
  static const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  usage u;
  u.cpu_seconds = static_cast<double>(s->cpu_ticks) / ticks;
  if (same && now > h.at && s->cpu_ticks >= h.cpu_ticks)
    u.cpu_percent = 100.0 * static_cast<double>(s->cpu_ticks - h.cpu_ticks) / ticks
                    / std::chrono::duration<double>(now - h.at).count();
  h.cpu_ticks = s->cpu_ticks;
  h.at = now;
  read_pss(h, directory, now);
  u.resident_bytes = s->resident_pages * page;
  u.proportional_bytes = h.pss;
  u.threads = s->threads;
  std::uint64_t files = 0;
  if (each_entry(directory + "/fd", [&](const std::string&) { ++files; }))
    u.open_files = files;
  u.storage = parsed(read_file(directory + "/io"), parse_io);
  return u;
}

machine sampler::read_machine() const {
  machine m;
  m.load = parsed(read_file(root_ + "/loadavg"), parse_loadavg);
  m.memory = parsed(read_file(root_ + "/meminfo"), parse_meminfo);
  m.disk = read_disk(disk_directory_);
  m.interfaces = parsed(read_file(root_ + "/self/net/dev"), parse_net_dev);
  return m;
}

} // namespace holdfast::health::proc
