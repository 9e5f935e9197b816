// Carries IP packets between two network namespaces, over links that delay, lose and cut as they are told. Each link is
// a TUN device of its name in both namespaces; packets go from one to the other: a cut is silence, not an error.
//
//   holdfast-lab-relay GATEWAY COLLECTOR SEED LINK...   file descriptors of the two namespaces
//
// Commands come on stdin, each is answered by a line on stdout; the end of stdin ends the relay, its devices and links.
//
//   LINK up|down KEY=VALUE...   up: from the gateway to the collector. delay, jitter (microseconds), loss (share), rate
//                               (bytes/s), queue (bytes), cut (none, all, data), reorder (0, 1)
//   LINK carrier on|off         of the gateway's device
//   LINK mark                   forgets when records last began to go up
//   stats                       counters since the start, how late the relay itself was at worst, and in Unix
//                               nanoseconds when the first packet with records went up after the mark (0: none yet)

#include "tests/system/lab/path.hpp"

#include <fmt/core.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <map>
#include <poll.h>
#include <queue>
#include <sched.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace holdfast::lab {
namespace {

constexpr std::size_t most_held = 200'000; // packets under way, all links together
constexpr std::size_t longest = 65536;     // bytes of a packet
constexpr std::ptrdiff_t with_records = 200; // ... that is no probe and no mere acknowledgement

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(fmt::format("failed to {}: {}", what, std::strerror(errno)));
}

int open_tun(int space, const std::string& name) {
  if (setns(space, CLONE_NEWNET) != 0)
    fail("enter a network namespace");
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    fail("open /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request) != 0)
    fail("create the TUN device " + name);
  return fd;
}

struct direction {
  int from, to;
  path way;
  std::int64_t first_records = 0; // after the mark, Unix nanoseconds
};

std::int64_t unix_nanos() {
  return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

struct held {
  clock::time_point due;
  std::uint64_t number;
  int to;
  std::vector<std::byte> bytes;
  bool operator<(const held& o) const { return std::pair(o.due, o.number) < std::pair(due, number); } // earliest on top
};

class relay {
public:
  relay(int gateway, int collector, std::uint64_t seed, const std::vector<std::string>& links) {
    for (const auto& link : links) {
      const int a = open_tun(gateway, link), b = open_tun(collector, link);
      const auto place = ways_.size();
      ways_.push_back({.from = a, .to = b, .way = path(seed + place)});
      ways_.push_back({.from = b, .to = a, .way = path(seed + place + 1)});
      names_[link] = place;
    }
    for (const auto& way : ways_)
      sockets_.push_back({way.from, POLLIN, 0});
    sockets_.push_back({STDIN_FILENO, POLLIN, 0});
  }

  void run() {
    while (!ended_) {
      wait();
      for (std::size_t i = 0; i < ways_.size(); ++i)
        if (sockets_[i].revents & POLLIN)
          take(ways_[i]);
      if (sockets_.back().revents)
        read_commands();
      release();
    }
  }

private:
  void wait() {
    timespec left{3600, 0};
    if (!under_way_.empty()) {
      const auto n = std::max<std::int64_t>(0, (under_way_.top().due - clock::now()) / std::chrono::nanoseconds(1));
      left = {n / 1'000'000'000, n % 1'000'000'000};
    }
    if (ppoll(sockets_.data(), sockets_.size(), &left, nullptr) < 0 && errno != EINTR)
      fail("wait");
  }

  void take(direction& d) {
    static std::array<std::byte, longest> buffer;
    for (int i = 0; i < 64; ++i) {
      const auto n = read(d.from, buffer.data(), buffer.size());
      if (n <= 0)
        return;
      if (n >= with_records && d.first_records == 0)
        d.first_records = unix_nanos();
      const std::span packet(buffer.data(), static_cast<std::size_t>(n));
      const auto due = d.way.take(packet, clock::now());
      if (due && under_way_.size() < most_held)
        under_way_.push({*due, ++number_, d.to, {packet.begin(), packet.end()}});
      else if (due)
        ++refused_;
    }
  }

  void release() {
    for (auto now = clock::now(); !under_way_.empty() && under_way_.top().due <= now; now = clock::now()) {
      const auto& p = under_way_.top();
      late_ = std::max(late_, now - p.due);
      if (write(p.to, p.bytes.data(), p.bytes.size()) < 0)
        ++refused_; // the device is down
      under_way_.pop();
    }
  }

  void read_commands() {
    std::array<char, 4096> buffer;
    const auto n = read(STDIN_FILENO, buffer.data(), buffer.size());
    ended_ = n <= 0;
    commands_.append(buffer.data(), ended_ ? 0 : static_cast<std::size_t>(n));
    for (std::size_t end; (end = commands_.find('\n')) != std::string::npos; commands_.erase(0, end + 1)) {
      std::string answer;
      try {
        answer = obey(commands_.substr(0, end));
      } catch (const std::exception& e) {
        answer = fmt::format("error: {}", e.what());
      }
      std::cout << answer << std::endl;
    }
  }

  std::string obey(const std::string& line) {
    std::istringstream words(line);
    std::string name, what, pair;
    words >> name >> what;
    if (name == "stats")
      return stats();
    const auto place = names_.at(name);
    if (what == "carrier") {
      words >> pair;
      int on = pair == "on";
      if (ioctl(ways_[place].from, TUNSETCARRIER, &on) != 0)
        fail("set the carrier");
      return "ok";
    }
    if (what == "mark") {
      ways_[place].first_records = 0;
      return "ok";
    }
    auto& conditions = ways_[place + (what == "up" ? 0 : 1)].way.now;
    while (words >> pair)
      set(conditions, pair.substr(0, pair.find('=')), pair.substr(pair.find('=') + 1));
    return "ok";
  }

  static void set(conditions& c, const std::string& key, const std::string& value) {
    if (key == "cut") {
      c.cut_off = value == "all" ? cut::all : value == "data" ? cut::data : cut::none;
      return;
    }
    const double number = std::stod(value);
    const microseconds time(static_cast<std::int64_t>(number));
    if (key == "delay") c.delay = time;
    else if (key == "jitter") c.jitter = time;
    else if (key == "loss") c.loss = number;
    else if (key == "rate") c.rate = number;
    else if (key == "queue") c.queue = number;
    else if (key == "reorder") c.reorder = number != 0;
    else throw std::invalid_argument("no setting " + key);
  }

  std::string stats() {
    std::string text;
    for (const auto& [name, place] : names_)
      for (const auto i : {place, place + 1}) {
        const auto& s = ways_[i].way.seen;
        text += fmt::format(R"("{} {}":{{"packets":{},"bytes":{},"lost":{},"cut":{},"overflow":{},"records_at":{}}},)",
                            name, i == place ? "up" : "down", s.packets, s.bytes, s.lost, s.cut_off, s.overflow,
                            ways_[i].first_records);
      }
    return fmt::format(R"({{{}"refused":{},"late_micros":{}}})", text, refused_, late_ / microseconds(1));
  }

  std::vector<direction> ways_;              // of each link up, then down
  std::map<std::string, std::size_t> names_; // place of the first
  std::vector<pollfd> sockets_;
  std::priority_queue<held> under_way_;
  std::uint64_t number_ = 0, refused_ = 0;
  clock::duration late_{};
  std::string commands_;
  bool ended_ = false;
};

} // namespace
} // namespace holdfast::lab

int main(int count, char** words) {
  try {
    if (count < 5)
      throw std::invalid_argument("usage: holdfast-lab-relay GATEWAY COLLECTOR SEED LINK...");
    // A wire does not wait for a processor; where this is not permitted, `late_micros` tells.
    prctl(PR_SET_TIMERSLACK, 1UL);
    const sched_param before_others{.sched_priority = 10};
    sched_setscheduler(0, SCHED_RR, &before_others);
    const int gateway = std::stoi(words[1]), collector = std::stoi(words[2]);
    holdfast::lab::relay relay(gateway, collector, std::stoull(words[3]), {words + 4, words + count});
    std::cout << "ready" << std::endl;
    relay.run();
  } catch (const std::exception& e) {
    std::cout << "error: " << e.what() << std::endl;
    return 1;
  }
}
