#include "common/storage/start_marker.hpp"

#include "common/storage/data_file.hpp"
#include "common/storage/lmdb.hpp"
#include "common/storage/opening.hpp"
#include "common/telemetry/log.hpp"

#include <fmt/format.h>
#include <lmdb.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <istream>
#include <new>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::storage {

namespace fs = std::filesystem;

namespace {
constexpr std::string_view damaged = "damaged:";
} // namespace

start_marker::start_marker(const std::string& directory)
    : directory_(directory), path_((fs::path(directory) / "starts").string()) {
  std::ifstream in(path_);
  std::string word;
  in >> word;
  if (word == damaged) {
    file_state then;
    std::string cause;
    std::getline(in >> then.inode >> then.transaction >> then.changed_nanos >> std::ws, cause);
    if (in && then.lives_on_in(state_of(directory))) {
      condemned_ = cause;
      return;
    }
    log::warn("damage of another file forgotten directory={} cause=\"{}\"", directory, cause);
  }
  std::sscanf(word.c_str(), "%u", &failed_);
  write(std::to_string(failed_ + 1));
}

void start_marker::condemn(const std::string& cause) {
  doomed_ = true;
  const auto now = state_of(directory_);
  write(fmt::format("{} {} {} {} {}", damaged, now.inode, now.transaction, now.changed_nanos, cause));
}

void start_marker::settled() {
  if (!doomed_ && condemned_.empty())
    forget();
}

void start_marker::file_replaced() {
  condemned_.clear();
  failed_ = 0;
  write("1");
}

void start_marker::write(const std::string& text) const { std::ofstream(path_, std::ios::trunc) << text; }

void start_marker::forget() const {
  std::error_code ignored;
  fs::remove(path_, ignored);
}

// -- examine ----------------------------------------------------------------------------------------------------------

namespace {

[[noreturn]] void finding(const std::string& what) { throw error(MDB_CORRUPTED, "failed to read " + what); }

void walk(environment& env, const std::string& name, table rows) {
  txn t(env, txn::kind::read);
  cursor c(t, rows);
  std::string before;
  std::uint64_t n = 0;
  for (auto e = c.first(); e; e = c.next(), ++n) {
    if (e->key.empty() || e->key.size() > 511 || e->value.size() > UINT32_MAX)
      finding(name + ": an entry of no possible size");
    if (before >= e->key)
      finding(name + ": entries out of order");
    before = e->key;
  }
  if (n != t.entries(rows))
    finding(fmt::format("{}: {} of {} entries", name, n, t.entries(rows)));
}

// As a store or an archive has them. What else is called "meta" is somebody else's, and may have plain entries.
bool ours(const std::vector<std::string>& names) {
  return has_tables(names, {"meta", "delivery"}) || has_tables(names, {"meta", "origins"});
}

void walk(environment&& env) {
  walk(env, "the list of databases", env.main_table());
  const auto names = env.table_names();
  for (auto& name : names) {
    try {
      walk(env, name, env.open_table(name).value());
    } catch (const error& e) {
      if (e.code() != MDB_INCOMPATIBLE || ours(names))
        throw;
    }
  }
  txn(env, txn::kind::read).free_bytes();
}

// A file that is somebody else's stays as it is.
void try_write(environment&& env) {
  const auto names = env.table_names();
  if (!ours(names))
    return;
  std::vector<table> tables;
  for (auto& name : names)
    if (auto t = env.open_table(name))
      tables.push_back(*t);
  txn t(env, txn::kind::write);
  for (auto table : tables)
    t.put(table, "\xff""examined", std::string(100'000, 'x'));  // takes pages from the free list; not committed
}

constexpr std::array damage_signals{SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};  // others come from outside

enum outcome : int { sound, damage_found, unfinished };

// A full disk or a lack of memory says nothing of the file.
[[noreturn]] void examiner(const std::function<void()>& look, int out, pid_t parent) {
  // It has our locks: where we are killed it must not keep our successor from them.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent)
    ::_exit(unfinished);
  const auto end = [out](outcome o, std::string_view text) {
    [[maybe_unused]] const auto written = ::write(out, text.data(), std::min<std::size_t>(text.size(), 400));
    ::_exit(o);
  };
  for (int signal : damage_signals)
    std::signal(signal, SIG_DFL);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  try {
    look();
  } catch (const error& e) {
    end(e.damaged() ? damage_found : unfinished, e.what());
  } catch (const std::bad_alloc& e) {
    end(unfinished, e.what());
  } catch (const std::exception& e) {
    end(damage_found, e.what());
  }
  ::_exit(sound);
}

examination judge(int status, const std::string& text) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == sound)
    return {};
  if (WIFEXITED(status) && WEXITSTATUS(status) == damage_found)
    return {.damage = text};
  if (WIFEXITED(status))
    return {.missed = text};
  const auto signal = WTERMSIG(status);
  const auto end = fmt::format("reading it ends with {}", ::strsignal(signal));
  const bool of_damage = std::find(damage_signals.begin(), damage_signals.end(), signal) != damage_signals.end();
  return of_damage ? examination{.damage = end} : examination{.missed = end};
}

} // namespace

examination examine_apart(const std::function<void()>& look, unsigned limit_millis) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
    return {.missed = std::strerror(errno)};
  const auto parent = ::getpid();
  const auto child = ::fork();
  const int cause = errno;
  if (child == 0)
    examiner(look, pipe[1], parent);
  ::close(pipe[1]);
  std::array<char, 512> text{};
  ssize_t n = 0;
  pollfd end{pipe[0], POLLIN, 0};
  const bool in_time = child > 0 && ::poll(&end, 1, static_cast<int>(limit_millis)) > 0;
  if (in_time)
    n = ::read(pipe[0], text.data(), text.size());
  else if (child > 0)
    ::kill(child, SIGKILL);
  ::close(pipe[0]);
  if (child < 0)
    return {.missed = std::strerror(cause)};
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !in_time)
    return {.missed = fmt::format("it took longer than {} ms", limit_millis)};
  return judge(status, {text.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))});
}

std::string examine(const std::string& directory, unsigned limit_millis) {
  const auto e = examine_apart([&] {
    back_lock_file(directory);
    walk(environment(directory, 0, environment::mode::read_only));
    try_write(environment(directory, 0, environment::mode::read_write));
  }, limit_millis);
  if (!e.missed.empty())
    log::warn("file not examined file={} cause=\"{}\"", (fs::path(directory) / "data.mdb").string(), e.missed);
  return e.damage;
}

} // namespace holdfast::storage
