#include "health_support.hpp"
#include "services/health/web.hpp"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <atomic>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace health_test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

struct client {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  explicit client(std::uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval patience{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0)
      throw std::runtime_error("connect");
  }
  ~client() { ::close(fd); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  void send(const std::string& text) const { (void)!::send(fd, text.data(), text.size(), MSG_NOSIGNAL); }
  /// All until the server closes.
  std::string all() const {
    std::string out;
    char chunk[4096];
    for (ssize_t n; (n = ::recv(fd, chunk, sizeof chunk, 0)) > 0;)
      out.append(chunk, static_cast<std::size_t>(n));
    return out;
  }
};

/// A server with a monitor that answers at once, or not at all.
struct house {
  pulse beats;
  metrics figures;
  health::fleet fleet{"plant", "0", {{"store", true, false}}};
  std::atomic<int> asked{0};
  std::atomic<bool> answers{true};
  std::unique_ptr<health::web_server> server;

  explicit house(health::web_limits limits = {}) {
    server = std::make_unique<health::web_server>(
      config::endpoint{"127.0.0.1", 0}, beats, figures,
      [this] {
        ++asked;
        if (answers)
          server->show(fleet.snapshot(at(0)));
      },
      limits);
  }
  std::string get(const std::string& target, const std::string& method = "GET") const {
    client c(server->port());
    c.send(method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return c.all();
  }
};

} // namespace

TEST_CASE("health: the four pages, and nothing else", "[health][sockets]") {
  house h({.fresh = 1h});
  CHECK_THAT(h.get("/"), StartsWith("HTTP/1.1 200") && Contains("text/html") && Contains("</html>"));
  CHECK_THAT(h.get("/metrics"), StartsWith("HTTP/1.1 200") && Contains("version=0.0.4") && Contains("up{instance=\"store\"} 0"));
  CHECK_THAT(h.get("/status.json?x=1"), StartsWith("HTTP/1.1 200") && Contains("\"gateway\":\"plant\""));
  CHECK_THAT(h.get("/healthz"), StartsWith("HTTP/1.1 503") && Contains("not heard yet"));
  const auto missing = h.get("/%3Cscript%3E");
  CHECK_THAT(missing, StartsWith("HTTP/1.1 404") && !Contains("%3C"));
  CHECK_THAT(h.get("/", "POST"), StartsWith("HTTP/1.1 405") && Contains("Allow: GET, HEAD"));
  CHECK_THAT(h.get("/", "DELETE"), StartsWith("HTTP/1.1 405"));
  const auto head = h.get("/metrics", "HEAD");
  CHECK_THAT(head, StartsWith("HTTP/1.1 200") && Contains("Content-Length: ") && !Contains("instance"));
  CHECK(h.asked == 1);  // one picture served all
}

TEST_CASE("health: two requests on one connection", "[health][sockets]") {
  house h;
  client c(h.server->port());
  c.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const auto answer = c.all();
  CHECK_THAT(answer, StartsWith("HTTP/1.1 200") && Contains("HTTP/1.1 503"));
}

TEST_CASE("health: requests that are too large or no requests", "[health][sockets]") {
  house h;
  {
    client c(h.server->port());
    c.send("GET / HTTP/1.1\r\nX: " + std::string(8200, 'x') + "\r\n\r\n");
    CHECK_THAT(c.all(), StartsWith("HTTP/1.1 431"));
  }
  {
    client c(h.server->port());
    c.send("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    CHECK_THAT(c.all(), StartsWith("HTTP/1.1 400"));
  }
  {
    client c(h.server->port());
    c.send("\x16\x03\x01 not http\r\n\r\n");
    CHECK_THAT(c.all(), StartsWith("HTTP/1.1 400"));
  }
  CHECK_THAT(h.get("/healthz"), StartsWith("HTTP/1.1 503"));
}

TEST_CASE("health: a monitor that does not answer costs its readers a 503, not their time", "[health][sockets]") {
  house h({.patience = 100ms});
  h.answers = false;
  CHECK_THAT(h.get("/metrics"), StartsWith("HTTP/1.1 503") && Contains("monitor"));
  CHECK_THAT(h.get("/"), StartsWith("HTTP/1.1 200"));
  h.answers = true;
  CHECK_THAT(h.get("/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST_CASE("health: connections are limited in number and time", "[health][sockets]") {
  house h({.connections = 4, .timeout = 2s});
  const auto open = [&] { return h.figures.gauge("holdfast_health_connections", "").get(); };
  const auto wait_for_open = [&](double wanted) {
    for (const auto end = std::chrono::steady_clock::now() + 20s; open() != wanted;) {
      REQUIRE(std::chrono::steady_clock::now() < end);
      std::this_thread::yield();
    }
  };
  std::vector<std::unique_ptr<client>> idle;
  for (int n = 0; n < 4; ++n)
    idle.push_back(std::make_unique<client>(h.server->port()));
  wait_for_open(4);
  CHECK(client(h.server->port()).all().empty());  // one too many
  const auto begin = std::chrono::steady_clock::now();
  idle[0]->send("GET / HT");                        // the slow one
  CHECK(idle[0]->all().empty());
  CHECK(std::chrono::steady_clock::now() - begin < 4500ms); // without a limit of its own it would be 5 s
  wait_for_open(0);
  CHECK_THAT(h.get("/"), StartsWith("HTTP/1.1 200"));
  CHECK(h.figures.counter("holdfast_health_connections_refused_total", "").get() >= 1);
}

TEST_CASE("health: a taken port is said, and the server ends while readers wait", "[health][sockets]") {
  house h;
  h.answers = false;
  try {
    health::web_server second({"127.0.0.1", h.server->port()}, h.beats, h.figures, [] {});
    FAIL("two servers on one port");
  } catch (const std::runtime_error& e) {
    CHECK_THAT(e.what(), StartsWith("failed to listen at 127.0.0.1:"));
  }
  client waiting(h.server->port());
  waiting.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  while (h.asked == 0)
    std::this_thread::sleep_for(5ms);
  h.server.reset();
  CHECK(waiting.all().empty());
}
