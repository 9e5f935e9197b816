#include "services/watchdog/process.hpp"

#include "services/watchdog/identity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utility>

// <sys/pidfd.h> of Debian 12 lacks extern "C", so C++ cannot link what it declares.
extern "C" {
int pidfd_open(pid_t pid, unsigned flags) noexcept;
int pidfd_send_signal(int pidfd, int signal, siginfo_t* info, unsigned flags) noexcept;
}

namespace holdfast::watchdog {

namespace {

// What concerns only our own dialogue with systemd.
constexpr std::array<std::string_view, 6> private_variables{"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=",
                                                            "LISTEN_FDS=",    "LISTEN_PID=",    "LISTEN_FDNAMES="};

std::vector<char*> environment() {
  std::vector<char*> out;
  for (char** e = ::environ; *e != nullptr; ++e) {
    const std::string_view entry(*e);
    if (std::none_of(private_variables.begin(), private_variables.end(), [&](auto v) { return entry.starts_with(v); }))
      out.push_back(*e);
  }
  out.push_back(nullptr);
  return out;
}

struct spawn_settings {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;

  spawn_settings() {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    ::posix_spawnattr_init(&attributes);
    sigset_t set;
    sigemptyset(&set);
    ::posix_spawnattr_setsigmask(&attributes, &set);
    sigfillset(&set);
    ::posix_spawnattr_setsigdefault(&attributes, &set);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~spawn_settings() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
  spawn_settings(const spawn_settings&) = delete;
  spawn_settings& operator=(const spawn_settings&) = delete;
};

// Fields of /proc/PID/stat from the third on: the second, the program's name in brackets, may contain anything.
std::vector<std::string> stat_fields(long pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  const auto end = line.rfind(')');
  if (end == std::string::npos)
    return {};
  std::istringstream rest(line.substr(end + 1));
  std::vector<std::string> out;
  for (std::string field; rest >> field;)
    out.push_back(std::move(field));
  return out;
}

constexpr std::size_t field_state = 0;
constexpr std::size_t field_start_time = 19;  // in clock ticks since boot

} // namespace

descriptor::~descriptor() {
  if (fd_ >= 0)
    ::close(fd_);
}

descriptor::descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

descriptor& descriptor::operator=(descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

process process::spawn(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (auto& word : command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const spawn_settings settings;
  const auto variables = environment();
  pid_t pid = 0;
  if (const int error = ::posix_spawn(&pid, arguments[0], &settings.files, &settings.attributes, arguments.data(),
                                      variables.data()))
    throw std::runtime_error(fmt::format("failed to start {}: {}", command.front(), std::strerror(error)));
  // Unreaped, so the number cannot have changed hands.
  const int fd = ::pidfd_open(pid, 0);
  if (fd < 0) {
    const int error = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    throw std::runtime_error(fmt::format("failed to watch {}: {}", command.front(), std::strerror(error)));
  }
  return {pid, fd};
}

std::optional<process> process::adopt(long pid, const std::vector<std::string>& command) {
  if (pid <= 1)
    return std::nullopt;
  const int fd = ::pidfd_open(static_cast<pid_t>(pid), 0);
  if (fd < 0)
    return std::nullopt;
  process p(pid, fd);
  // The number came from a file, perhaps of another container. After an upgrade the old program's name has a suffix.
  std::error_code ec;
  const auto runs = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), ec).filename().string();
  const auto wanted = std::filesystem::path(command.front()).filename().string();
  if (ec || (runs != wanted && runs != wanted + " (deleted)") || identity_of(pid) != identity_of(command, "/", "")
      || !p.signal(0))
    return std::nullopt;
  return p;
}

bool process::ended(long pid) {
  std::error_code ec;
  const auto runs = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), ec);
  return runs.empty() && ec == std::errc::no_such_file_or_directory;  // memory goes before locks
}

bool process::signal(int number) const { return ::pidfd_send_signal(pidfd_->get(), number, nullptr, 0) == 0; }

bool process::frozen() const {
  const auto fields = stat_fields(pid_);
  return !fields.empty() && (fields[field_state] == "T" || fields[field_state] == "t");
}

std::chrono::milliseconds process::age() const {
  const auto fields = stat_fields(pid_);
  if (fields.size() <= field_start_time)
    return std::chrono::milliseconds(0);
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const auto started = std::stoll(fields[field_start_time]) * 1000 / ::sysconf(_SC_CLK_TCK);
  return std::chrono::milliseconds(std::max<long long>(now.tv_sec * 1000LL + now.tv_nsec / 1000000 - started, 0));
}

exit_status process::wait() const {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_->get()), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
    return {};  // not our child
  if (info.si_code == CLD_EXITED)
    return {.code = info.si_status, .signal = {}};
  return {.code = {}, .signal = info.si_status};
}

void reap_orphans(std::span<const long> own) {
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
      return;
    // One of our own is first in line: wait() takes it in a moment, and the next round goes on behind it.
    if (std::find(own.begin(), own.end(), info.si_pid) != own.end())
      return;
    ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
  }
}

} // namespace holdfast::watchdog
