#pragma once

#include "services/watchdog/exit_status.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace holdfast::watchdog {

/// A file descriptor that closes itself.
class descriptor {
public:
  explicit descriptor(int fd = -1) noexcept : fd_(fd) {}
  ~descriptor();
  descriptor(descriptor&& other) noexcept;
  descriptor& operator=(descriptor&& other) noexcept;
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

private:
  int fd_;
};

/// A process, held by its pidfd: a signal never reaches a later process of the same number. Copies share. The process
/// outlives this object and this program.
class process {
public:
  /// Starts a program: in a process group of its own (a Ctrl-C at the terminal reaches us alone, and we stop the
  /// services in order), no signal blocked or ignored, standard input empty, no other file open, systemd's variables
  /// removed. Throws std::runtime_error "failed to start PROGRAM: cause".
  static process spawn(const std::vector<std::string>& command);

  /// Takes over a running process, which need not be our child. Nothing when there is none of that number, or it is not
  /// what `command` would start: another program, or one for another link or configuration.
  static std::optional<process> adopt(long pid, const std::vector<std::string>& command);

  /// No program runs under this number: there is no such process, or it was killed and is on its way out.
  static bool ended(long pid);

  long pid() const noexcept { return pid_; }
  int fd() const noexcept { return pidfd_->get(); }
  /// False when it is gone already.
  bool signal(int number) const;
  /// Stopped by a signal, or held by a tracer: it would not even notice SIGABRT.
  bool frozen() const;
  /// Time since its start.
  std::chrono::milliseconds age() const;
  /// Once fd() polls readable. Reaps it when it is our child.
  exit_status wait() const;

private:
  process(long pid, int pidfd) : pid_(pid), pidfd_(std::make_shared<descriptor>(pidfd)) {}

  long pid_;
  std::shared_ptr<descriptor> pidfd_;
};

/// As PID 1 of a container we inherit every orphan. Reaps those that ended, leaving our own children to wait().
void reap_orphans(std::span<const long> own);

} // namespace holdfast::watchdog
