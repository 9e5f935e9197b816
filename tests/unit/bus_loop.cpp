// The bus's thread over real Unix sockets. Tests wait on conditions, with a limit, and never sleep.

#include "common/bus/endpoints.hpp"
#include "common/bus/loop.hpp"
#include "storage_support.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>

using namespace holdfast;
using namespace holdfast::bus;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 20s;

/// What arrived at a socket, and peers that came and went.
struct mailbox {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<message> messages;
  int came = 0;
  int left = 0;

  loop::receive_handler receive() {
    return [this](message&& m) {
      std::lock_guard lock(mutex);
      messages.push_back(std::move(m));
      changed.notify_all();
    };
  }
  loop::peer_handler peers() {
    return [this](bool connected) {
      std::lock_guard lock(mutex);
      ++(connected ? came : left);
      changed.notify_all();
    };
  }
  template <class F> bool wait(F until) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, patience, until);
  }
  bool wait_messages(std::size_t n) {
    return wait([&] { return messages.size() >= n; });
  }
  bool wait_peer(int n = 1) {
    return wait([&] { return came >= n; });
  }
};

/// A turn of the loop has ended and another has begun.
void turn(loop& l) {
  mailbox m;
  for (int n = 1; n <= 2; ++n) {
    l.post([&] { m.receive()({}); });
    REQUIRE(m.wait_messages(static_cast<std::size_t>(n)));
  }
}

struct ends {
  test::temporary_directory dir;
  std::string at = address(dir.path(), "store.ingest");
  mailbox server_box, client_box;
  loop server, client;
  loop::socket bound = server.open({.kind = socket_kind::router, .name = "server", .bind = at, .max_message = 8 << 20},
                                   server_box.receive(), server_box.peers());
  loop::socket connected = client.open({.kind = socket_kind::dealer, .name = "client", .connect = {at}, .identity = "me",
                                        .max_message = 8 << 20}, client_box.receive(), client_box.peers());

  void start() {
    server.start();
    client.start();
    REQUIRE(client_box.wait_peer());
  }
};

} // namespace

TEST_CASE("an endpoint's address is a socket in the run directory", "[bus]") {
  CHECK(address("/run/holdfast", "events.store") == "ipc:///run/holdfast/events.store.sock");
}

TEST_CASE("messages go from dealer to router and back, in order and in parts", "[bus]") {
  ends e;
  e.start();
  for (int n = 0; n < 500; ++n)
    e.client.send(e.connected, {{}, {blob(std::to_string(n)), blob(std::string()), blob(std::string("third"))}});
  REQUIRE(e.server_box.wait_messages(500));
  for (int n = 0; n < 500; ++n) {
    auto& m = e.server_box.messages[static_cast<std::size_t>(n)];
    REQUIRE(m.peer.starts_with("me-"));
    REQUIRE(m.parts.size() == 3);
    REQUIRE(m.parts[0].view() == std::to_string(n));
    REQUIRE(m.parts[1].empty());
    REQUIRE(m.parts[2].view() == "third");
  }
  e.server.send(e.bound, {e.server_box.messages[0].peer, {blob(std::string("answer"))}});
  REQUIRE(e.client_box.wait_messages(1));
  CHECK(e.client_box.messages[0].peer.empty());
  CHECK(e.client_box.messages[0].parts.at(0).view() == "answer");
  CHECK(e.client.dropped() + e.server.dropped() == 0);
}

TEST_CASE("large frames arrive as they were, and their memory is given back", "[bus]") {
  ends e;
  e.start();
  std::string bytes(5 << 20, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(i * 2654435761U >> 13);
  auto owner = std::make_shared<std::string>(bytes);
  std::weak_ptr<std::string> watched = owner;
  const blob shared(owner, owner->data(), owner->size());
  owner.reset();
  for (int n = 0; n < 4; ++n)
    e.client.send(e.connected, {{}, {blob(std::string("head")), shared}});
  REQUIRE(e.server_box.wait_messages(4));
  for (auto& m : e.server_box.messages)
    CHECK((m.parts.at(1).view() == bytes));
  CHECK_FALSE(watched.expired());
}

TEST_CASE("two peers that call themselves the same do not take each other's place", "[bus]") {
  ends e;
  mailbox twin_box;
  loop twin;
  const auto t = twin.open({.kind = socket_kind::dealer, .name = "twin", .connect = {e.at}, .identity = "me"},
                           twin_box.receive(), twin_box.peers());
  e.start();
  twin.start();
  REQUIRE(twin_box.wait_peer());
  e.client.send(e.connected, {{}, {blob(std::string("first"))}});
  REQUIRE(e.server_box.wait_messages(1));
  twin.send(t, {{}, {blob(std::string("second"))}});
  REQUIRE(e.server_box.wait_messages(2));
  e.client.send(e.connected, {{}, {blob(std::string("third"))}});
  REQUIRE(e.server_box.wait_messages(3));
  CHECK(e.server_box.messages[2].peer == e.server_box.messages[0].peer);
  CHECK(e.server_box.messages[1].peer != e.server_box.messages[0].peer);
}

TEST_CASE("a socket that is held is not read, and goes on where it stopped", "[bus]") {
  test::temporary_directory dir;
  mailbox server_box, client_box;
  std::atomic<bool> held{true};
  loop server, client;
  server.open({.kind = socket_kind::router, .name = "server", .bind = address(dir.path(), "s"), .queue = 2,
               .hold = [&] { return held.load(); }}, server_box.receive());
  const auto c = client.open({.kind = socket_kind::dealer, .name = "client", .connect = {address(dir.path(), "s")},
                              .queue = 0}, client_box.receive(), client_box.peers());
  server.start();
  client.start();
  REQUIRE(client_box.wait_peer());
  for (int n = 0; n < 500; ++n)
    client.send(c, {{}, {blob(std::to_string(n))}});
  for (int n = 0; n < 5; ++n)
    turn(server);
  {
    std::lock_guard lock(server_box.mutex);
    CHECK(server_box.messages.empty());
  }
  held = false;
  REQUIRE(server_box.wait_messages(500));
  for (int n = 0; n < 500; ++n)
    REQUIRE(server_box.messages[static_cast<std::size_t>(n)].parts.at(0).view() == std::to_string(n));
  CHECK(client.dropped() == 0);
}

TEST_CASE("messages for nobody are dropped and counted", "[bus]") {
  ends e;
  e.server.start();
  e.server.send(e.bound, {"nobody", {blob(std::string("x"))}});
  turn(e.server);
  CHECK(e.server.dropped() == 1);
  test::temporary_directory empty;
  loop alone;
  const auto s = alone.open({.kind = socket_kind::dealer, .name = "alone", .connect = {address(empty.path(), "none")}},
                            {});
  alone.start();
  alone.send(s, {{}, {blob(std::string("x")), blob(std::string("y"))}});
  turn(alone);
  CHECK(alone.dropped() == 1);
}

TEST_CASE("an oversized message ends its sender's connection and no other", "[bus]") {
  ends e;
  mailbox other_box;
  loop other;
  const auto o = other.open({.kind = socket_kind::dealer, .name = "other", .connect = {e.at}, .identity = "other"},
                            other_box.receive(), other_box.peers());
  e.start();
  other.start();
  REQUIRE(other_box.wait_peer());
  e.client.send(e.connected, {{}, {blob(std::string((8 << 20) + 1, 'x'))}});
  REQUIRE(e.client_box.wait([&] { return e.client_box.left >= 1; }));
  other.send(o, {{}, {blob(std::string("still here"))}});
  REQUIRE(e.server_box.wait_messages(1));
  CHECK(e.server_box.messages[0].peer.starts_with("other-"));
  {
    std::lock_guard lock(other_box.mutex);
    CHECK(other_box.left == 0);
  }
  REQUIRE(e.client_box.wait_peer(2));  // it comes back by itself
  e.client.send(e.connected, {{}, {blob(std::string("again"))}});
  REQUIRE(e.server_box.wait_messages(2));
  CHECK(e.server_box.messages[1].parts.at(0).view() == "again");
}

TEST_CASE("garbage on the socket is a failed handshake and harms nobody", "[bus]") {
  mailbox turns;  // before the loops that write to it
  ends e;
  e.server.every(5ms, [&] { turns.receive()({}); });
  e.start();
  const std::string path = e.dir.path("store.ingest.sock");
  const std::string no_mechanism = std::string("\xff\0\0\0\0\0\0\0\1\x7f\3\0", 12) + "RUBBISH" + std::string(45, '\0');
  for (auto& garbage : {std::string("GET / HTTP/1.1\r\n\r\n"), no_mechanism, std::string(5000, '\x7e'), std::string()}) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::strncpy(where.sun_path, path.c_str(), sizeof where.sun_path - 1);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    CHECK(::send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(garbage.size()));
    ::close(fd);
  }
  REQUIRE(turns.wait([&] { return e.server.handshake_failures() >= 1; }));
  e.client.send(e.connected, {{}, {blob(std::string("well"))}});
  // ZeroMQ takes long garbage for a peer of its first version and passes "messages" on: parsing them is the reader's.
  REQUIRE(e.server_box.wait([&] {
    auto& all = e.server_box.messages;
    return std::any_of(all.begin(), all.end(), [](auto& m) { return m.peer.starts_with("me-") && m.parts.at(0).view() == "well"; });
  }));
}

TEST_CASE("subscribers get their topics from a publisher, over a forwarder", "[bus]") {
  test::temporary_directory dir;
  mailbox publisher_box, subscriber_box, forwarder_box;
  loop publisher, subscriber;
  const auto p = publisher.open({.kind = socket_kind::xpub, .name = "events", .bind = address(dir.path(), "p")},
                                publisher_box.receive());
  subscriber.open({.kind = socket_kind::sub, .name = "sub", .connect = {address(dir.path(), "p")}, .subscribe = {"a."}},
                  subscriber_box.receive());
  const auto x = subscriber.open({.kind = socket_kind::xsub, .name = "xsub"}, forwarder_box.receive(),
                                 forwarder_box.peers());
  publisher.start();
  subscriber.start();
  REQUIRE(publisher_box.wait_messages(1));  // an XPUB hears of subscriptions
  CHECK(publisher_box.messages[0].parts.at(0).view() == "\x01" "a.");
  subscriber.connect(x, address(dir.path(), "p"));
  REQUIRE(forwarder_box.wait_peer());
  subscriber.send(x, {{}, {blob(std::string("\x01" "b."))}});
  REQUIRE(publisher_box.wait_messages(2));
  publisher.send(p, {{}, {blob(std::string("b.1")), blob(std::string("for the forwarder"))}});
  publisher.send(p, {{}, {blob(std::string("a.1")), blob(std::string("for the subscriber"))}});
  REQUIRE(subscriber_box.wait_messages(1));
  REQUIRE(forwarder_box.wait_messages(1));
  CHECK(subscriber_box.messages[0].parts.at(1).view() == "for the subscriber");
  CHECK(forwarder_box.messages[0].parts.at(1).view() == "for the forwarder");
}

TEST_CASE("a loop does posted work and periodic work in its own thread", "[bus]") {
  mailbox box;
  loop l;
  l.every(1ms, [&] { box.receive()({}); });
  l.start();
  REQUIRE(box.wait_messages(3));
  mailbox posted;
  l.post([&] { posted.receive()({}); });
  REQUIRE(posted.wait_messages(1));
  l.stop();
  l.stop();
  CHECK(l.dropped() == 0);
}

TEST_CASE("an endpoint that cannot be bound is named", "[bus]") {
  loop l;
  CHECK_THROWS_WITH(l.open({.name = "store.ingest", .bind = "ipc:///nowhere/at/all/x.sock"}, {}),
                    Catch::StartsWith("failed to bind store.ingest at ipc:///nowhere"));
}
