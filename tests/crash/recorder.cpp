// A library for LD_PRELOAD: holdfast-store writes down what it does to its directory and tells its peers (events.hpp).
//   HOLDFAST_CRASH_DIRECTORY   the store's; other files and other programs are left alone
//   HOLDFAST_CRASH_LOG         where to; one life is appended to the other

#include "tests/crash/recorder.hpp"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <sys/stat.h>

namespace {

using namespace holdfast::crash;

int opened(const char* path, int flags, int fd) {
  auto& r = it();
  const auto name = r.active() && fd >= 0 ? r.name_of(path) : "";
  if (name.empty())
    return fd;
  guard lock(r.mutex);
  const auto how = name == "." ? directory_itself : (flags & O_TRUNC) != 0 ? truncated : plain;
  r.files.at(static_cast<std::size_t>(fd)) = {++r.handles, (flags & O_DSYNC) == O_DSYNC};
  r.put(kind::opened, r.handles, how, name);
  return fd;
}

bool exists(const char* path) {
  struct stat s {};
  return ::stat(path, &s) == 0;
}

// One write, and with O_DSYNC the word that it is on the disk.
template <class Call> ssize_t recorded_write(int fd, std::uint64_t offset, std::string_view data, Call call) {
  auto& r = it();
  const auto file = r.of(fd);
  if (file.handle == 0)
    return call();
  std::uint64_t number = 0;
  {
    guard lock(r.mutex);
    number = r.write(fd, offset, data);
  }
  const auto n = call();
  if (n != static_cast<ssize_t>(data.size()))
    ::abort();  // the disk of a recording has room
  if (file.stable) {
    guard lock(r.mutex);
    r.put(kind::stable, file.handle, number);
  }
  return n;
}

template <class Call> int recorded_sync(int fd, Call call) {
  auto& r = it();
  const auto file = r.of(fd);
  if (file.handle == 0)
    return call();
  std::uint64_t before = 0;
  {
    guard lock(r.mutex);
    before = r.count;
  }
  const int rc = call();
  if (rc == 0) {
    guard lock(r.mutex);
    r.put(kind::synced, file.handle, before);
  }
  return rc;
}

// Names are changed under the lock: what is recorded first happens first.
template <class Call> int recorded_change(kind k, const char* path, std::uint64_t a, std::string_view data, Call call) {
  auto& r = it();
  const auto name = r.active() ? r.name_of(path) : "";
  if (name.empty() || !exists(path))
    return call();
  guard lock(r.mutex);
  r.put(k, 0, a, name, data);
  return call();
}

std::uint64_t place(int fd) { return static_cast<std::uint64_t>(::lseek(fd, 0, SEEK_CUR)); }

} // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return opened(path, flags, NEXT(open)(path, flags, mode));
}

int __open_2(const char* path, int flags) {  // what a compiler that fortifies makes of open
  return opened(path, flags, NEXT(open)(path, flags));
}

FILE* fopen64(const char* path, const char* mode) {  // std::ofstream's
  auto* file = NEXT(fopen64)(path, mode);
  if (file != nullptr)
    opened(path, *mode == 'w' ? O_TRUNC : 0, ::fileno(file));
  return file;
}

int close(int fd) {
  auto& r = it();
  if (r.of(fd).handle != 0)
    r.files[static_cast<std::size_t>(fd)] = {};
  return NEXT(close)(fd);
}

int fclose(FILE* file) {
  auto& r = it();
  if (const int fd = ::fileno(file); r.of(fd).handle != 0)
    r.files[static_cast<std::size_t>(fd)] = {};
  return NEXT(fclose)(file);
}

ssize_t pwrite(int fd, const void* data, size_t n, off_t offset) {
  return recorded_write(fd, static_cast<std::uint64_t>(offset), {static_cast<const char*>(data), n},
                        [&] { return NEXT(pwrite)(fd, data, n, offset); });
}

ssize_t write(int fd, const void* data, size_t n) {
  const auto at = it().of(fd).handle != 0 ? place(fd) : 0;
  return recorded_write(fd, at, {static_cast<const char*>(data), n}, [&] { return NEXT(write)(fd, data, n); });
}

ssize_t writev(int fd, const iovec* parts, int n) {
  if (it().of(fd).handle == 0)
    return NEXT(writev)(fd, parts, n);
  std::string all;
  for (int i = 0; i < n; ++i)
    all.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  return recorded_write(fd, place(fd), all, [&] { return NEXT(writev)(fd, parts, n); });
}

int fdatasync(int fd) { return recorded_sync(fd, [&] { return NEXT(fdatasync)(fd); }); }
int fsync(int fd) { return recorded_sync(fd, [&] { return NEXT(fsync)(fd); }); }

int ftruncate(int fd, off_t length) {
  auto& r = it();
  guard lock(r.mutex);
  if (const auto file = r.of(fd); file.handle != 0)
    r.put(kind::resized, file.handle, static_cast<std::uint64_t>(length));
  return NEXT(ftruncate)(fd, length);
}

int truncate(const char* path, off_t length) {
  return recorded_change(kind::resized, path, static_cast<std::uint64_t>(length), {},
                         [&] { return NEXT(truncate)(path, length); });
}

int posix_fallocate(int fd, off_t offset, off_t length) {
  auto& r = it();
  guard lock(r.mutex);
  if (const auto file = r.of(fd); file.handle != 0)
    r.put(kind::allocated, file.handle, static_cast<std::uint64_t>(offset + length));
  return NEXT(posix_fallocate)(fd, offset, length);
}

int rename(const char* from, const char* to) noexcept {
  const auto name = it().active() ? it().name_of(to) : "";
  return recorded_change(kind::renamed, from, 0, name, [&] { return NEXT(rename)(from, to); });
}

int unlink(const char* path) noexcept {
  return recorded_change(kind::removed, path, 0, {}, [&] { return NEXT(unlink)(path); });
}

int remove(const char* path) noexcept {
  return recorded_change(kind::removed, path, 0, {}, [&] { return NEXT(remove)(path); });
}

}  // extern "C"
