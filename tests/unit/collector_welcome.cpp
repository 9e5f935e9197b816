// ARCHIVE itself and its sessions, over TCP: what a gateway is told is there.

#include "actor_world.hpp"
#include "archive_bench.hpp"
#include "common/net/io_loop.hpp"
#include "common/net/stream.hpp"
#include "common/net/wire.hpp"
#include "holdfast/v1/wire.pb.h"
#include "services/collector/collector.hpp"
#include "services/collector/session.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>

using namespace holdfast;
using namespace holdfast::collector;
using boost::asio::ip::tcp;
using namespace std::chrono_literals;

namespace {

/// A gateway's end of a session.
class gateway {
public:
  explicit gateway(const std::shared_ptr<context>& ctx) {
    auto& io = ctx->rt.io().context();
    tcp::acceptor acceptor(io, {boost::asio::ip::address_v4::loopback(), 0});
    tcp::socket accepted(io);
    socket_.connect(acceptor.local_endpoint());
    acceptor.accept(accepted);
    there_ = std::make_shared<session>(ctx, net::make_stream(std::move(accepted), nullptr), nullptr);
    ctx->rt.io().run_and_wait([s = there_] { s->start(); });
  }
  const std::shared_ptr<session>& there() const { return there_; }

  static std::string hello() {
    v1::WireMessage m;
    m.mutable_hello()->set_protocol(net::wire_protocol);
    m.mutable_hello()->set_gateway("plant");
    m.mutable_hello()->set_epoch(7);
    return net::encode_wire(m);
  }
  static std::string data(seq_range r, const std::string& payload) {
    v1::WireMessage m;
    auto& d = *m.mutable_data();
    d.set_record_class("telemetry");
    d.set_first_seq(r.first);
    d.set_record_count(static_cast<std::uint32_t>(r.count()));
    d.set_crc32c(crc32c(payload));
    return net::encode_wire(m, payload.size()) + payload;
  }
  void write(const std::string& bytes) { boost::asio::write(socket_, boost::asio::buffer(bytes)); }
  v1::WireMessage next() {
    for (;;) {
      if (const auto f = reader_.next()) {
        v1::WireMessage m;
        REQUIRE(m.ParseFromArray(f->header.data(), static_cast<int>(f->header.size())));
        return m;
      }
      auto [to, size] = reader_.room();
      reader_.filled(socket_.read_some(boost::asio::buffer(to, size)));
    }
  }

private:
  boost::asio::io_context io_;
  tcp::socket socket_{io_};
  net::wire_reader reader_{1 << 20};
  std::shared_ptr<session> there_;
};

std::string text_of(const v1::WireWelcome& w) {
  std::string out;
  for (auto& c : w.present())
    for (auto& r : c.ranges())
      out += fmt::format("{} {}-{};", c.record_class(), r.first(), r.last());
  return out;
}

/// ARCHIVE in a process of its own.
struct centre {
  test::archive_bench bench;
  test::actor_world w;
  service::runtime rt{"collector", "collector", in(bench.dir.path("run")), w.system()};
  std::shared_ptr<context> ctx{new context{rt, bench.settings}};
  caf::actor archive = w.own(spawn_archive(w.system(), ctx));

  static config::gateway in(const std::string& directory) {
    config::gateway g;
    g.run_directory = directory;
    std::filesystem::create_directories(directory);
    return g;
  }
  ~centre() {
    ctx->archive.set(nullptr);
    caf::anon_send_exit(archive, caf::exit_reason::user_shutdown);  // before the runtime that it uses
    archive = nullptr;
    w.run();
  }
  void greets(const gateway& g) const { ctx->archive.send(greeted{g.there(), "plant", 7}); }
  /// What gateways wrote is in ARCHIVE's mailbox, and nobody else puts anything there.
  void wait_for_batch() const {
    for (const auto until = std::chrono::steady_clock::now() + 10s; ctx->waiting_bytes == 0;) {
      REQUIRE(std::chrono::steady_clock::now() < until);
      std::this_thread::yield();
    }
    ctx->rt.io().run_and_wait([] {});
  }
};

} // namespace

TEST_CASE("what a welcome names is on disk", "[collector]") {
  centre c;
  auto& stored = c.rt.metrics().counter("holdfast_collector_records_total", "Records stored");
  gateway first(c.ctx), second(c.ctx);
  first.write(gateway::hello() + gateway::data({1, 3}, "three records"));
  c.wait_for_batch();
  c.greets(second);
  for (int n = 0; n < 3; ++n)
    c.w.step();  // no commit is due yet: it comes behind all that waits
  CHECK(text_of(first.next().welcome()).empty());
  CHECK(text_of(second.next().welcome()) == "telemetry 1-3;");
  CHECK(stored.get() == 3);
}

TEST_CASE("a full archive refuses sessions, and welcomes them again when there is room", "[collector]") {
  centre c;
  const auto quota = std::exchange(c.ctx->settings.quota.count, 1);  // full with the first commit
  gateway sender(c.ctx), late(c.ctx), back(c.ctx);
  sender.write(gateway::hello() + gateway::data({1, 3}, "three records"));
  c.wait_for_batch();
  c.w.run();
  CHECK(sender.next().has_welcome());
  CHECK(sender.next().has_ack());
  c.rt.io().run_and_wait([] {});
  REQUIRE(c.ctx->waiting_bytes == 0);
  sender.write(gateway::data({4, 4}, "one more"));
  c.wait_for_batch();
  c.greets(late);
  c.w.run();
  REQUIRE(late.next().refusal().reason().find("archive is full: ") == 0);
  CHECK(sender.next().refusal().reason().find("archive is full: ") == 0);
  c.ctx->settings.quota.count = quota;
  c.w.advance(500ms, 100ms);
  c.greets(back);
  c.w.run();
  CHECK(text_of(back.next().welcome()) == "telemetry 1-3;");
}
