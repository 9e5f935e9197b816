#pragma once

#undef _FORTIFY_SOURCE  // its inline functions would stand in for ours

#include "tests/crash/events.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace holdfast::crash {

template <class F> F* next(const char* name) { return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name)); }
#define NEXT(function) (*[] { static const auto f = next<decltype(::function)>(#function); return f; }())

struct open_file {
  std::uint64_t handle = 0;  // 0: not of the store's directory
  bool stable = false;       // O_DSYNC: a write that returns is on the disk
};

/// The log of this life.
struct recorder {
  std::recursive_mutex mutex;
  std::string directory;
  int log = -1;
  pid_t pid = 0;
  std::uint64_t count = 0;   // events of this life
  std::uint64_t handles = 0;
  std::array<open_file, 1024> files{};
  std::map<void*, std::string> endpoints;
  std::map<void*, unsigned> frame_sent;      // of the message that is on its way
  std::map<void*, unsigned> frame_received;

  recorder() {
    const char* d = std::getenv("HOLDFAST_CRASH_DIRECTORY");
    const char* l = std::getenv("HOLDFAST_CRASH_LOG");
    if (d == nullptr || l == nullptr || std::string_view(::program_invocation_short_name) != "holdfast-store")
      return;
    directory = d;
    pid = ::getpid();
    log = static_cast<int>(::syscall(SYS_open, l, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    put(kind::started, 0, static_cast<std::uint64_t>(pid));
  }

  bool active() const { return log >= 0 && ::getpid() == pid; }  // a child that examines the file is not a life

  void put(kind k, std::uint64_t handle, std::uint64_t a, std::string_view name = {}, std::string_view data = {}) {
    event e{k, static_cast<std::uint32_t>(name.size()), handle, a, data.size()};
    std::array<iovec, 3> parts{{{&e, sizeof e}, {const_cast<char*>(name.data()), name.size()},
                                {const_cast<char*>(data.data()), data.size()}}};
    const auto bytes = static_cast<long>(sizeof e + name.size() + data.size());
    if (::syscall(SYS_writev, log, parts.data(), parts.size()) != bytes)
      ::abort();
    ++count;
  }

  /// "data.mdb" of a path in the directory, "." of itself, else empty.
  std::string name_of(const char* path) const {
    const std::string_view p(path);
    if (p == directory || p == directory + "/")
      return ".";
    if (!p.starts_with(directory + "/") || p.ends_with("/.."))
      return "";
    return std::string(p.substr(directory.size() + 1));
  }

  open_file of(int fd) const {
    const auto i = static_cast<std::size_t>(fd);
    return fd >= 0 && i < files.size() && active() ? files[i] : open_file{};
  }

  std::uint64_t write(int fd, std::uint64_t offset, std::string_view data) {
    put(kind::written, of(fd).handle, offset, {}, data);
    return count - 1;
  }
};

inline recorder& it() {
  static auto* r = new recorder;  // never destroyed: the process writes until its end
  return *r;
}

using guard = std::lock_guard<std::recursive_mutex>;

} // namespace holdfast::crash
