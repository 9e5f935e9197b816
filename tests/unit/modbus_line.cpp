// The line against peers in this process whose answers are not to be believed: a pty for a serial line, and the loopback.

#include "services/acquisition/modbus/line.hpp"

#include "services/acquisition/modbus/bus_master.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <future>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <thread>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::acquisition::modbus;
using namespace std::chrono_literals;

namespace {

using bytes = std::vector<std::uint8_t>;
/// From a request to what is sent back.
using behaviour = std::function<bytes(const bytes&)>;

bytes operator+(bytes a, const bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// MODBUS over Serial Line V1.02, 6.2.2, bit by bit.
bytes with_crc(bytes frame) {
  unsigned crc = 0xffff;
  for (auto b : frame) {
    crc ^= b;
    for (int i = 0; i != 8; ++i)
      crc = (crc & 1) != 0 ? crc >> 1 ^ 0xa001 : crc >> 1;
  }
  return std::move(frame) + bytes{static_cast<std::uint8_t>(crc & 0xff), static_cast<std::uint8_t>(crc >> 8)};
}

/// Register 7 of unit 1. All peers answer at once: the time to wait is for a busy machine.
answer ask(line& l) {
  return l.read(1, {config::register_table::holding, 7, 1, 1s, {0}}, 10s);
}

/// Answers each request on one descriptor; the first to the first request, the last to all that are left.
class peer {
public:
  explicit peer(std::vector<behaviour> give) : give_(std::move(give)) {}
  std::atomic<unsigned> requests{0};

  void serve(int fd, std::size_t request_bytes, const std::atomic<bool>& over) {
    bytes request;
    for (pollfd p{fd, POLLIN, 0}; !over;) {
      if (poll(&p, 1, 10) == 0)
        continue;
      std::array<std::uint8_t, 256> chunk;
      const auto n = ::read(fd, chunk.data(), chunk.size());
      if (n <= 0)
        return;
      request.insert(request.end(), chunk.begin(), chunk.begin() + n);
      if (request.size() < request_bytes)
        continue;
      const auto answer = give_[std::min<std::size_t>(requests++, give_.size() - 1)](std::exchange(request, {}));
      if (!answer.empty() && ::write(fd, answer.data(), answer.size()) < 0)
        return;
    }
  }

private:
  std::vector<behaviour> give_;
};

/// A serial line whose other end is a thread's.
class serial_peer : public peer {
public:
  explicit serial_peer(std::vector<behaviour> give) : peer(std::move(give)), fd_(posix_openpt(O_RDWR | O_NOCTTY)) {
    REQUIRE(grantpt(fd_) == 0);
    REQUIRE(unlockpt(fd_) == 0);
    name_ = ptsname(fd_);
    other_ = ::open(name_.c_str(), O_RDWR | O_NOCTTY); // stays open, so that the pty outlives the line
    termios raw{};
    tcgetattr(other_, &raw);
    cfmakeraw(&raw);
    tcsetattr(other_, TCSANOW, &raw);
    thread_ = std::thread([this] { serve(fd_, 8, over_); });
  }
  ~serial_peer() {
    over_ = true;
    thread_.join();
    ::close(fd_);
    ::close(other_);
  }
  config::serial_line transport() const {
    config::serial_line at;
    at.device = name_;
    at.baud = 115200;
    return at;
  }

private:
  int fd_;
  int other_ = -1;
  std::string name_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

/// One connection after another.
class tcp_peer : public peer {
public:
  explicit tcp_peer(std::vector<behaviour> give)
      : peer(std::move(give)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    at_.sin_family = AF_INET;
    at_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at_;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&at_), size) == 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at_), &size);
    ::listen(listener_, 4);
    thread_ = std::thread([this] {
      for (int fd = -1; (fd = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(fd)) {
        ++connections;
        serve(fd, 12, over_);
      }
    });
  }
  ~tcp_peer() {
    over_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  config::endpoint transport() const { return {"127.0.0.1", ntohs(at_.sin_port)}; }
  std::atomic<unsigned> connections{0};

private:
  int listener_;
  sockaddr_in at_{};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

const bytes value{3, 2, 0x12, 0x34}; // function, byte count, the register

behaviour serial_from(std::uint8_t unit) {
  return [unit](const bytes&) { return with_crc(bytes{unit} + value); };
}

behaviour tcp_from(std::uint8_t unit, int later = 0) {
  return [=](const bytes& request) {
    const auto low = static_cast<std::uint8_t>(request[1] + later);
    return bytes{request[0], low, 0, 0, 0, 5, unit} + value;
  };
}

bool is_value(const answer& a) {
  return a.how == outcome::values && a.registers == std::vector<std::uint16_t>{0x1234};
}

bool has(const answer& a, const std::string& detail) {
  return a.how == outcome::silent && a.registers.empty() && a.detail.find(detail) != std::string::npos;
}

template <class Peer> answer first_answer(Peer& p) {
  line l(p.transport(), [] { return true; });
  REQUIRE(l.open().empty());
  return ask(l);
}

} // namespace

TEST_CASE("modbus line: on a serial line another unit is not believed", "[modbus][two-process]") {
  serial_peer honest({serial_from(1)});
  CHECK(is_value(first_answer(honest)));
  for (unsigned unit : {0, 2, 247}) {
    serial_peer p({serial_from(static_cast<std::uint8_t>(unit))});
    CHECK(has(first_answer(p), "unit " + std::to_string(unit) + " instead of 1"));
    CHECK(p.requests == 2);
  }
}

TEST_CASE("modbus line: on a serial line nothing damaged is believed", "[modbus][two-process]") {
  serial_peer damaged({[](const bytes&) {
    auto frame = with_crc(bytes{1} + value);
    frame[4] ^= 1;
    return frame;
  }});
  CHECK(has(first_answer(damaged), "Invalid CRC"));
  serial_peer other({[](const bytes&) { return with_crc({1, 4, 2, 0x12, 0x34}); }});
  CHECK(has(first_answer(other), "function 4 instead of 3"));
  serial_peer refuses({[](const bytes&) { return with_crc({1, 0x83, 2}); }});
  CHECK(first_answer(refuses).how == outcome::refused);
}

TEST_CASE("modbus line: after another unit's answer the right one is taken", "[modbus][two-process]") {
  serial_peer on_serial({serial_from(2), serial_from(1)});
  CHECK(is_value(first_answer(on_serial)));
  tcp_peer on_tcp({tcp_from(2), tcp_from(1)});
  CHECK(is_value(first_answer(on_tcp)));
  CHECK(on_tcp.connections == 2); // what else that connection holds is not looked at
}

TEST_CASE("modbus line: whether an answer may still come", "[modbus][two-process]") {
  const auto owed = [](auto& p, std::chrono::milliseconds timeout) {
    line l(p.transport(), [] { return true; });
    REQUIRE(l.open().empty());
    return l.read(1, {config::register_table::holding, 7, 1, 1s, {0}}, timeout).owed;
  };
  const behaviour nothing = [](const bytes&) { return bytes{}; };
  serial_peer right({serial_from(1)});
  serial_peer refuses({[](const bytes&) { return with_crc({1, 0x83, 2}); }});
  serial_peer silent({nothing});
  serial_peer repeated({serial_from(2), serial_from(1)});
  CHECK(!owed(right, 10s));
  CHECK(!owed(refuses, 10s));
  CHECK(owed(silent, 10ms));
  CHECK(owed(repeated, 10s)); // two requests, one answer
  tcp_peer silent_on_tcp({nothing});
  tcp_peer repeated_on_tcp({tcp_from(2), tcp_from(1)});
  CHECK(!owed(silent_on_tcp, 10ms));
  CHECK(!owed(repeated_on_tcp, 10s));
}

TEST_CASE("modbus line: after a silence the unit is asked for nothing the answer would fit", "[modbus][two-process]") {
  using clock = std::chrono::steady_clock;
  std::vector<std::pair<unsigned, clock::time_point>> asked; // registers, the first of which is left without an answer
  serial_peer p({[&](const bytes& request) {
    asked.emplace_back(request[3], clock::now());
    return asked.size() == 1 ? bytes{} : with_crc(bytes{1, 3, 2, 0, request[3]});
  }});
  config::modbus_device d;
  d.name = "d";
  d.timeout = 200ms;
  d.period = 50ms;
  for (std::uint16_t address : {std::uint16_t(10), std::uint16_t(200)}) {
    auto& point = d.points.emplace_back();
    point.name = std::to_string(address);
    point.address = address;
  }
  pulse beats;
  metrics figures;
  bool told = false;
  std::promise<void> both;
  bus_callbacks callbacks{[&](auto samples) {
                            if (samples.front().stream == "d/200" && !std::exchange(told, true))
                              both.set_value();
                          },
                          [](auto&&...) {}};
  bus_master master({p.transport(), {d}}, "bus", callbacks, beats, figures);
  master.start();
  REQUIRE(both.get_future().wait_for(10s) == std::future_status::ready);
  master.stop();
  const auto other = std::find_if(asked.begin(), asked.end(), [](auto& a) { return a.first == 200; });
  REQUIRE(other != asked.end());
  CHECK(asked.front().first == 10);
  CHECK(other->second - asked.front().second >= late_limit(200ms));
}

TEST_CASE("modbus line: requests on TCP have transactions of their own", "[modbus][two-process]") {
  std::vector<unsigned> seen;
  tcp_peer p({[&](const bytes& request) {
    seen.push_back(request[0] << 8U | request[1]);
    return tcp_from(1, seen.size() == 2 ? -1 : 0)(request); // once the answer to the request before
  }});
  line l(p.transport(), [] { return true; });
  REQUIRE(l.open().empty());
  for (int i = 0; i != 3; ++i)
    CHECK(is_value(ask(l)));
  CHECK(seen == std::vector<unsigned>{1, 2, 3, 4});
  CHECK(p.connections == 2);
}

TEST_CASE("modbus line: who is never right on TCP loses the connection", "[modbus][two-process]") {
  tcp_peer p({tcp_from(0)});
  line l(p.transport(), [] { return true; });
  REQUIRE(l.open().empty());
  CHECK(has(ask(l), "unit 0 instead of 1"));
  CHECK(!l.is_open());
  CHECK(p.requests == 2);
}

TEST_CASE("modbus line: exceptions that no standard names are answers", "[modbus][two-process]") {
  tcp_peer p({[](const bytes& r) { return bytes{r[0], r[1], 0, 0, 0, 3, 1, 0x83, 77}; }});
  const auto a = first_answer(p);
  CHECK(a.how == outcome::exception);
  CHECK(a.detail.ends_with("answers: exception 77"));
}
