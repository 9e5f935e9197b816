#include "common/net/kernel_watch.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <cstring>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace holdfast::net;
using namespace std::chrono_literals;

namespace {

void set_up(const char* interface, bool up) {
  ifreq r{};
  std::strncpy(r.ifr_name, interface, sizeof r.ifr_name - 1);
  r.ifr_flags = static_cast<short>(up ? IFF_UP : 0);
  const int s = ::socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(::ioctl(s, SIOCSIFFLAGS, &r) == 0);
  ::close(s);
}

/// In a network namespace of its own, where the loopback interface is down at first.
void follow_the_loopback() {
  boost::asio::io_context io;
  int told = 0;
  kernel_view::verdict is;
  const auto watch = kernel_watch::make(io, "lo", [&](const kernel_view::verdict& v) {
    ++told;
    is = v;
  });
  const auto until = [&](int count) {
    while (told < count && io.run_one_for(5s) > 0) {
    }
    return told == count;
  };
  CHECK(until(1));
  CHECK_FALSE(is.carrier);
  set_up("lo", true);
  CHECK(until(2));
  CHECK(is.carrier);
  CHECK(is.route);
  watch->toward("::2", "");  // IPv6 does not assume that everything is on the link
  CHECK(until(3));
  CHECK_FALSE(is.route);
  watch->toward("127.0.0.1", "127.0.0.1");
  CHECK(until(4));
  CHECK(is.route);
  watch->toward("127.0.0.1", "192.0.2.1");
  CHECK(until(5));
  CHECK_FALSE(is.route);
  watch->stop();
  io.run();  // ends: nothing is waited for any more
  set_up("lo", false);
  CHECK(told == 5);
}

} // namespace

TEST_CASE("the kernel's events are told as they come", "[net]") {
  int refused = 0;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0)
      refused = errno;
    else
      follow_the_loopback();
  }).join();
  if (refused != 0)
    WARN("no network namespace: " << std::strerror(refused) << " (needs CAP_SYS_ADMIN)");
}
