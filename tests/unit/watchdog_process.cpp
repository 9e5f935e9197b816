#include "services/watchdog/exit_watch.hpp"
#include "services/watchdog/identity.hpp"
#include "services/watchdog/notify.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::watchdog;
using namespace std::chrono_literals;

namespace {

/// posix_spawn returns a moment before the new program's command line can be read.
process started(const std::vector<std::string>& command) {
  auto p = process::spawn(command);
  const auto patience = std::chrono::steady_clock::now() + 20s;
  while (identity_of(p.pid()) == identity{} && std::chrono::steady_clock::now() < patience)
    std::this_thread::yield();
  return p;
}

process shell(const std::string& script) { return process::spawn({"/bin/sh", "-c", script}); }

/// How it ended, by way of the watching thread.
exit_status end_of(const process& p) {
  exit_watch watch;
  std::promise<exit_status> told;
  auto status = told.get_future();
  watch.add(p, [&](const exit_status& s) { told.set_value(s); });
  if (status.wait_for(20s) != std::future_status::ready) {
    p.signal(SIGKILL);
    FAIL("the end of the process was not told");
  }
  return status.get();
}

struct temporary_file {
  std::string path;
  explicit temporary_file(bool create) {
    char name[] = "/tmp/holdfast-watchdog-XXXXXX";
    ::close(::mkstemp(name));
    path = name;
    if (!create)
      std::filesystem::remove(path);
  }
  ~temporary_file() { std::filesystem::remove(path); }
  std::string text() const {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
};

} // namespace

TEST_CASE("the end of a child is told with its cause", "[watchdog][process]") {
  CHECK(end_of(shell("exit 7")).code == 7);
  CHECK(end_of(shell("exit 0")).code == 0);
  CHECK(end_of(shell("kill -SEGV $$")).signal == SIGSEGV);
}

TEST_CASE("one thread watches many processes", "[watchdog][process]") {
  exit_watch watch;
  std::vector<std::promise<exit_status>> told(20);
  for (std::size_t i = 0; i < told.size(); ++i)
    watch.add(shell("exit " + std::to_string(i)), [&told, i](const exit_status& s) { told[i].set_value(s); });
  for (std::size_t i = 0; i < told.size(); ++i) {
    auto status = told[i].get_future();
    REQUIRE(status.wait_for(20s) == std::future_status::ready);
    CHECK(status.get().code == static_cast<int>(i));
  }
}

TEST_CASE("a killed process has ended though its number is still taken", "[watchdog][process]") {
  auto p = process::spawn({"/bin/sleep", "60"});
  CHECK_FALSE(process::ended(p.pid()));
  CHECK(p.signal(SIGKILL));
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(p.pid()), &info, WEXITED | WNOWAIT) == 0);
  CHECK(process::ended(p.pid()));
  CHECK(end_of(p).signal == SIGKILL);
  CHECK(process::ended(0));
}

TEST_CASE("a watch that ends leaves the processes alone", "[watchdog][process]") {
  auto p = process::spawn({"/bin/sleep", "60"});
  { exit_watch watch; watch.add(p, [](const exit_status&) { FAIL("it still runs"); }); }
  CHECK(p.signal(0));
  CHECK(p.signal(SIGKILL));
  CHECK(end_of(p).signal == SIGKILL);
  CHECK_FALSE(p.signal(0));
}

TEST_CASE("a child inherits no file, no blocked signal, no group and no dialogue with systemd", "[watchdog][process]") {
  const int leak = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as a careless library would
  sigset_t term;
  sigset_t before;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &term, &before);
  ::setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
  ::setenv("WATCHDOG_TEST_KEPT", "yes", 1);
  const auto p = shell("test -z \"$NOTIFY_SOCKET\" || exit 1; test \"$WATCHDOG_TEST_KEPT\" = yes || exit 2;"
                       "test $(ls /proc/self/fd | wc -l) -eq 4 || exit 3;"  // 0, 1, 2 and the directory
                       "test $(cut -d' ' -f5 /proc/$$/stat) = $$ || exit 4;"
                       "grep -q 'SigBlk:.*0000000000000000' /proc/self/status || exit 5; exit 42");
  CHECK(end_of(p).text() == "exited with code 42");
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_TEST_KEPT");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(leak);
}

TEST_CASE("a program that is not there cannot be started", "[watchdog][process]") {
  CHECK_THROWS_WITH(process::spawn({"/nonexistent/holdfast-store"}),
                    "failed to start /nonexistent/holdfast-store: No such file or directory");
}

TEST_CASE("only a process that runs the right program is adopted", "[watchdog][process]") {
  const auto p = started({"/bin/sleep", "60"});
  const auto adopted = process::adopt(p.pid(), {"/elsewhere/sleep"});
  REQUIRE(adopted);
  CHECK(adopted->pid() == p.pid());
  CHECK(adopted->age() < 20s);
  CHECK_FALSE(process::adopt(p.pid(), {"/usr/bin/holdfast-store"}));
  CHECK_FALSE(process::adopt(0, {"sleep"}));
  CHECK_FALSE(process::adopt(1, {"sleep"}));
  adopted->signal(SIGKILL);
  CHECK(end_of(p).signal == SIGKILL);
  CHECK_FALSE(process::adopt(p.pid(), {"/bin/sleep"}));
}

TEST_CASE("an uplink of another link or of another configuration is not adopted", "[watchdog][process]") {
  const auto p = started({"/bin/sh", "-c", "kill -STOP $$", "sh", "--link", "main", "--config", "/etc/a.yaml"});
  const auto program = std::filesystem::canonical("/bin/sh").string();
  const auto adopts = [&](const std::string& link, const std::string& file) {
    return process::adopt(p.pid(), {program, "--link", link, "--config", file}).has_value();
  };
  CHECK(adopts("main", "/etc/a.yaml"));
  CHECK(adopts("main", "/etc/../etc/a.yaml"));
  CHECK_FALSE(adopts("other", "/etc/a.yaml"));
  CHECK_FALSE(adopts("main", "/etc/b.yaml"));
  p.signal(SIGKILL);
  CHECK(end_of(p).signal == SIGKILL);
}

TEST_CASE("the configuration of a command: by option, by variable, or the usual one", "[watchdog][process]") {
  CHECK(identity_of({"u", "--link=a", "--config=x.yaml"}, "/etc", "y") == identity{"a", "/etc/x.yaml"});
  CHECK(identity_of({"u", "--config", "/x.yaml", "--link", "a"}, "/etc", "y") == identity{"a", "/x.yaml"});
  CHECK(identity_of({"store"}, "/srv", "y.yaml") == identity{"", "/srv/y.yaml"});
  CHECK(identity_of({"store"}, "/srv", "") == identity{"", "/etc/holdfast/holdfast.yaml"});
}

TEST_CASE("a stopped process is frozen", "[watchdog][process]") {
  const auto p = process::spawn({"/bin/sleep", "60"});
  CHECK_FALSE(p.frozen());
  p.signal(SIGSTOP);
  const auto patience = std::chrono::steady_clock::now() + 20s;
  while (!p.frozen() && std::chrono::steady_clock::now() < patience)
    std::this_thread::yield();
  CHECK(p.frozen());
  p.signal(SIGKILL);
  CHECK(end_of(p).signal == SIGKILL);
}

TEST_CASE("the hardware watchdog is fed once a second while all is well, and disarmed by an ordered stop",
          "[watchdog][notify]") {
  const temporary_file device(true);
  config::watchdog w;
  w.feed_device = true;
  w.device = device.path;
  const notify::time_point t = notify::time_point{} + 1h;
  {
    notify n(w);
    n.tick(t, false);
    CHECK(device.text().empty());
    for (int i = 0; i <= 20; ++i)
      n.tick(t + i * 100ms, true);
    CHECK(device.text() == "111");
    n.stopped();
    CHECK(device.text() == "111V");
    n.tick(t + 1min, true);
    CHECK(device.text() == "111V");
  }
  notify successor(w);
  successor.tick(t, true);
  CHECK(device.text().size() == 4);  // a device has no position; a file is written from its start
  CHECK(successor.device_trouble().empty());
}

TEST_CASE("an end without an ordered stop leaves the hardware watchdog armed", "[watchdog][notify]") {
  const temporary_file device(true);
  config::watchdog w;
  w.feed_device = true;
  w.device = device.path;
  { notify(w).tick(notify::time_point{} + 1h, true); }
  CHECK(device.text() == "1");
}

TEST_CASE("a missing hardware watchdog is told, tried again, and never created", "[watchdog][notify]") {
  const temporary_file device(false);
  config::watchdog w;
  w.feed_device = true;
  w.device = device.path;
  notify n(w);
  const notify::time_point t = notify::time_point{} + 1h;
  n.tick(t, true);
  CHECK(n.device_trouble() == "failed to open hardware watchdog " + device.path + ": No such file or directory");
  CHECK_FALSE(std::filesystem::exists(device.path));
  std::ofstream(device.path).close();
  n.tick(t + 1s, true);
  CHECK(n.device_trouble().empty());
  CHECK(device.text() == "1");
}
