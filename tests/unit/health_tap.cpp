#include "common/bus/loop.hpp"
#include "common/telemetry/metrics.hpp"
#include "services/health/tap.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>
#include <unistd.h>

using namespace holdfast;
using namespace std::chrono_literals;
using health::tap_gate;
using verdict = health::tap_gate::verdict;

namespace {

std::string sub(const std::string& topic) { return '\1' + topic; }
std::string unsub(const std::string& topic) { return '\0' + topic; }

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 400; ++i) {
    if (holds())
      return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

} // namespace

TEST_CASE("health: the tap passes subscriptions and nothing else", "[health]") {
  tap_gate g;
  CHECK(g.judge(sub("")) == verdict::forward);
  CHECK(g.judge(sub("state.")) == verdict::forward);
  CHECK(g.judge(sub("state.")) == verdict::known);
  CHECK(g.judge("") == verdict::refused);
  CHECK(g.judge("\2state.") == verdict::refused);
  CHECK(g.judge("state.store") == verdict::refused);
  CHECK(g.judge(sub(std::string(255, 'x'))) == verdict::forward);
  CHECK(g.judge(sub(std::string(256, 'x'))) == verdict::refused);
  CHECK(g.judge(unsub("state.")) == verdict::forward);
  CHECK(g.judge(unsub("state.")) == verdict::known);
  CHECK(g.topics() == 2);
}

TEST_CASE("health: the tap's topics are bounded", "[health]") {
  tap_gate g;
  for (std::size_t n = 0; n < tap_gate::topic_limit; ++n)
    REQUIRE(g.judge(sub(std::to_string(n))) == verdict::forward);
  CHECK(g.judge(sub("one more")) == verdict::refused);
  CHECK(g.judge(unsub("one more")) == verdict::known);  // taken back when that tap leaves: nothing to take back upstream
  CHECK(g.judge(unsub("0")) == verdict::forward);
  CHECK(g.judge(sub("one more")) == verdict::forward);
}

TEST_CASE("health: what services publish comes out of the tap unchanged, and nothing goes back", "[health][sockets]") {
  const auto directory = std::filesystem::temp_directory_path() / ("health_tap." + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  const auto at = [&](const char* name) { return "ipc://" + (directory / name).string(); };
  metrics figures;
  std::mutex mutex;
  std::vector<std::string> upstream;
  std::vector<std::vector<std::string>> received;
  std::atomic<int> writer_ready{0};

  bus::loop service;
  bus::socket_options o;
  o.kind = bus::socket_kind::xpub;
  o.bind = at("events.store.sock");
  const auto events = service.open(o, [&](bus::message&& m) {
    std::lock_guard lock(mutex);
    upstream.emplace_back(m.parts.at(0).view());
  });
  bus::loop middle;
  const auto publishers = health::open_tap(middle, figures, {.bind = at("tap.sock"), .queue = 100, .max_message = 1 << 20});
  middle.connect(publishers, at("events.store.sock"));

  bus::loop operators;
  bus::socket_options reader;
  reader.kind = bus::socket_kind::sub;
  reader.connect = {at("tap.sock")};
  reader.subscribe = {"state."};
  operators.open(reader, [&](bus::message&& m) {
    std::lock_guard lock(mutex);
    auto& parts = received.emplace_back();
    for (auto& p : m.parts)
      parts.emplace_back(p.view());
  });
  bus::socket_options writer;
  writer.kind = bus::socket_kind::xsub;
  writer.connect = {at("tap.sock")};
  const auto intruder = operators.open(writer, {}, [&](bool up) { writer_ready += up; });
  service.start();
  middle.start();
  operators.start();

  const auto refused = [&] { return figures.counter("holdfast_tap_refused_total", "").get(); };
  REQUIRE(eventually([&] { std::lock_guard lock(mutex); return !upstream.empty(); }));
  CHECK(upstream.at(0) == sub("state."));
  service.send(events, {{}, {blob(std::string("state.store")), blob(std::string("\0e", 2)), blob(std::string(5000, 'p'))}});
  service.send(events, {{}, {blob(std::string("alarm.store")), blob(), blob()}});
  REQUIRE(eventually([&] { std::lock_guard lock(mutex); return !received.empty(); }));
  {
    std::lock_guard lock(mutex);
    CHECK(received.at(0) == std::vector<std::string>{"state.store", std::string("\0e", 2), std::string(5000, 'p')});
  }
  REQUIRE(eventually([&] { return writer_ready > 0; }));
  operators.send(intruder, {{}, {blob(std::string("state.store")), blob(std::string("forged"))}});
  operators.send(intruder, {{}, {blob(sub(std::string(300, 'x')))}});
  operators.send(intruder, {{}, {blob(sub("alarm."))}});
  REQUIRE(eventually([&] { return refused() == 2; }));
  REQUIRE(eventually([&] { std::lock_guard lock(mutex); return upstream.size() == 2; }));
  CHECK(upstream.at(1) == sub("alarm."));
  operators.stop();
  // The taps have left: so have their subscriptions.
  REQUIRE(eventually([&] { std::lock_guard lock(mutex); return upstream.size() == 4; }));
  middle.stop();
  service.stop();
  CHECK(received.size() == 1);
  std::filesystem::remove_all(directory);
}
