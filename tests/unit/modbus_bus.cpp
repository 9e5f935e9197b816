// The bus thread against a real Modbus server, in this process, on the loopback: the mirrored pair of the cores' tests.

#include "services/acquisition/modbus/bus_master.hpp"

#include <catch2/catch.hpp>
#include <modbus/modbus.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace holdfast;
using namespace holdfast::acquisition;
using namespace holdfast::acquisition::modbus;
using namespace std::chrono_literals;

namespace {

/// One connection at a time; unit 1 answers (register i holds i), others only while `others_answer`.
class server {
public:
  std::atomic<bool> others_answer{false};

  server() {
    listener_ = modbus_tcp_listen(modbus_.get(), 4); // port 0: any
    sockaddr_in at{};
    socklen_t size = sizeof at;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    for (std::uint16_t i = 0; i != 200; ++i)
      map_->tab_registers[i] = i;
    thread_ = std::thread([this] { run(); });
  }
  ~server() {
    ::shutdown(listener_, SHUT_RDWR);
    ::shutdown(client_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::uint16_t port() const { return port_; }

private:
  void run() {
    int client = -1;
    while ((client = ::accept(listener_, nullptr, nullptr)) >= 0) {
      client_ = client;
      modbus_set_socket(modbus_.get(), client);
      std::array<std::uint8_t, MODBUS_TCP_MAX_ADU_LENGTH> request;
      for (int n = 0; (n = modbus_receive(modbus_.get(), request.data())) > 0;)
        if (request[6] == 1 || others_answer)
          modbus_reply(modbus_.get(), request.data(), n, map_.get());
      ::close(client);
    }
  }

  std::unique_ptr<modbus_t, decltype(&modbus_free)> modbus_{modbus_new_tcp("127.0.0.1", 0), modbus_free};
  std::unique_ptr<modbus_mapping_t, decltype(&modbus_mapping_free)> map_{modbus_mapping_new(0, 0, 200, 0),
                                                                         modbus_mapping_free};
  int listener_ = -1;
  std::atomic<int> client_{-1};
  std::uint16_t port_ = 0;
  std::thread thread_;
};

config::modbus_device device(const std::string& name, unsigned unit) {
  config::modbus_device d;
  d.name = name;
  d.unit = unit;
  d.period = 20ms;
  d.timeout = 30ms;
  d.breaker_failures = 2;
  d.breaker_pause = 100ms;
  for (auto [point, address] : {std::pair("a", 3), std::pair("b", 7), std::pair("wrong", 500)}) {
    config::modbus_point p;
    p.name = point;
    p.address = static_cast<std::uint16_t>(address);
    d.points.push_back(p);
  }
  return d;
}

/// What the bus told so far.
class witness {
public:
  bus_callbacks callbacks() {
    return {[this](std::vector<sample> all) {
              std::lock_guard lock(mutex_);
              for (auto& s : all)
                samples_[s.stream].push_back(std::move(s));
              changed_.notify_all();
            },
            [this](const std::string& name, device_state state, const std::string&) {
              std::lock_guard lock(mutex_);
              states_[name].push_back(state);
              changed_.notify_all();
            }};
  }
  bool wait(const std::function<bool()>& until) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, until);
  }
  std::map<std::string, std::vector<sample>> samples_;
  std::map<std::string, std::vector<device_state>> states_;

private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

config::modbus_source bus(std::uint16_t port, std::vector<config::modbus_device> devices) {
  return {config::endpoint{"127.0.0.1", port}, std::move(devices)};
}

auto count_bad(const std::vector<sample>& all) {
  return std::count_if(all.begin(), all.end(), [](auto& s) { return s.quality == quality::bad; });
}

} // namespace

TEST_CASE("modbus bus: values of the living, one bad sample of the dead, and their return", "[modbus][two-process]") {
  server peer;
  pulse beats;
  metrics figures;
  witness w;
  auto living = device("one", 1);
  living.timeout = 5s;  // a peer that the machine keeps waiting is not dead
  auto dead = device("two", 2);
  dead.timeout = 300ms;
  bus_master master(bus(peer.port(), {living, dead}), "bus", w.callbacks(), beats, figures);
  REQUIRE(beats.loops().size() == 1);
  master.start();
  REQUIRE(w.wait([&] { return w.samples_["one/a"].size() >= 10 && w.states_["two"].size() == 1; }));
  peer.others_answer = true;
  REQUIRE(w.wait([&] { return w.samples_["two/b"].size() >= 4; }));
  master.stop();
  const auto& a = w.samples_["one/a"].front();
  CHECK(std::get<std::uint64_t>(a.value) == 3);
  CHECK(a.time.unix_nanos > 0);
  CHECK(a.time.monotonic_nanos > 0);
  CHECK(count_bad(w.samples_["one/b"]) == 0);
  CHECK(w.samples_["one/wrong"].size() == 1);
  CHECK(count_bad(w.samples_["one/wrong"]) == 1);
  CHECK(w.states_["two"] == std::vector{device_state::offline, device_state::online});
  CHECK(count_bad(w.samples_["two/b"]) == 1);
  CHECK(w.samples_["two/b"].front().quality == quality::bad);
  CHECK(std::get<std::uint64_t>(w.samples_["two/b"].back().value) == 7);
  CHECK(figures.counter("holdfast_modbus_failures_total", "", {{"source", "bus"}, {"device", "two"}}).get() >= 2);
}

TEST_CASE("modbus bus: a bus that cannot be opened takes its devices down, once", "[modbus][two-process]") {
  pulse beats;
  metrics figures;
  witness w;
  const int taken = ::socket(AF_INET, SOCK_STREAM, 0); // bound and not listening: refuses
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  REQUIRE(::bind(taken, reinterpret_cast<sockaddr*>(&at), size) == 0);
  ::getsockname(taken, reinterpret_cast<sockaddr*>(&at), &size);
  bus_master master(bus(ntohs(at.sin_port), {device("one", 1)}), "bus", w.callbacks(), beats, figures);
  master.start();
  REQUIRE(w.wait([&] { return w.samples_["one/wrong"].size() == 1; }));
  master.stop();
  CHECK(w.states_["one"] == std::vector{device_state::offline});
  CHECK(w.samples_["one/a"].size() == 1);
  ::close(taken);
}

TEST_CASE("modbus bus: stops at once in the middle of a request", "[modbus][two-process]") {
  server peer;
  pulse beats;
  metrics figures;
  witness w;
  auto slow = device("two", 2);
  slow.timeout = 30s;
  auto other = device("one", 1);
  other.timeout = 5s;
  bus_master master(bus(peer.port(), {other, slow}), "bus", w.callbacks(), beats, figures);
  master.start();
  REQUIRE(w.wait([&] { return !w.samples_["one/a"].empty(); })); // the next request is that to unit 2
  const auto before = std::chrono::steady_clock::now();
  master.stop();
  CHECK(std::chrono::steady_clock::now() - before < 3s);
  CHECK(w.states_["two"].empty());
}
