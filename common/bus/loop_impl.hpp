#pragma once

// The inside of loop; for its own sources only. loop.cpp has what others call, loop_turn.cpp the thread,
// loop_sockets.cpp what it reads and writes.

#include "common/bus/loop.hpp"

#include "common/bus/native.hpp"
#include "common/telemetry/sparse.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace holdfast::bus {

struct open_socket {
  socket_options options;
  zmq::socket_t socket;
  zmq::socket_t monitor;  // null: nobody asks who comes and goes
  loop::receive_handler on_message;
  loop::peer_handler on_peer;
  log::sparse refused;
};

struct timer {
  std::chrono::milliseconds period;
  std::chrono::steady_clock::time_point due;
  std::function<void()> work;
};

struct loop::impl {
  zmq::context_t context{1};
  std::vector<std::unique_ptr<open_socket>> sockets;
  std::vector<timer> timers;
  struct polled_socket {
    loop::socket socket;
    bool monitor;
  };
  std::vector<zmq::pollitem_t> items;   // the wake-up, then one for each of `polled`
  std::vector<polled_socket> polled;
  int wake = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::mutex mutex;
  std::vector<std::pair<socket, message>> outbound;   // guarded by mutex
  std::vector<std::function<void()>> posted;          // guarded by mutex
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::uint64_t> handshake_failures{0};
  std::thread thread;
  std::atomic<std::thread::id> runner{};  // `thread` itself is still being written when its first turn begins

  ~impl() { ::close(wake); }

  void poke() {
    const std::uint64_t one = 1;
    [[maybe_unused]] auto n = ::write(wake, &one, sizeof one);
  }

  void run();
  bool hold();
  int poll_timeout(bool held);
  void fire_timers();
  void drain_queues();
  void write(socket s, message& m);
  void read(open_socket& s);
  void read_monitor(open_socket& s);
};

} // namespace holdfast::bus
