// SERVER: owns the listening socket. A port in use is not the end: it says so and tries again.

#include "services/collector/collector.hpp"
#include "services/collector/session.hpp"

#include "common/actor/guard.hpp"
#include "common/net/stream.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

namespace holdfast::collector {

namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;

constexpr auto listen_retry = 1000ms;
constexpr auto accept_pause = 100ms;
constexpr auto beat_period = 500ms;

/// Accepts connections; lives in the io loop's thread.
class listener : public std::enable_shared_from_this<listener> {
public:
  listener(std::shared_ptr<context> ctx, std::shared_ptr<boost::asio::ssl::context> tls)
      : ctx_(std::move(ctx)), tls_(std::move(tls)), acceptor_(ctx_->rt.io().context()),
        pause_(ctx_->rt.io().context()) {}

  void open() {
    tcp::resolver resolver(ctx_->rt.io().context());
    const auto found = resolver.resolve(ctx_->settings.listen.host, std::to_string(ctx_->settings.listen.port));
    const tcp::endpoint at = found.begin()->endpoint();
    acceptor_.open(at.protocol());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind(at);
    acceptor_.listen();
    accept();
  }

  void close() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    for (auto& weak : sessions_)
      if (auto s = weak.lock())
        s->close("collector stops");
  }

private:
  void accept() {
    acceptor_.async_accept([self = shared_from_this()](boost::system::error_code ec, tcp::socket socket) {
      if (ec == boost::asio::error::operation_aborted)
        return;
      if (ec)
        return self->accept_later();
      self->welcome(std::move(socket));
      self->accept();
    });
  }

  // After an error such as too many open files: the next try would meet the same.
  void accept_later() {
    pause_.expires_after(accept_pause);
    pause_.async_wait([self = shared_from_this()](boost::system::error_code ec) {
      if (!ec)
        self->accept();
    });
  }

  void welcome(tcp::socket socket) {
    std::erase_if(sessions_, [](auto& weak) { return weak.expired(); });
    if (sessions_.size() >= ctx_->settings.max_connections) {
      log::warn("connection refused cause=\"{} sessions are open\"", sessions_.size());
      return;
    }
    net::tune(socket, {}, 30s);
    auto s = std::make_shared<session>(ctx_, net::make_stream(std::move(socket), tls_), [self = shared_from_this()] {
      self->ctx_->rt.metrics().gauge("holdfast_collector_sessions", "Open sessions").add(-1);
    });
    ctx_->rt.metrics().gauge("holdfast_collector_sessions", "Open sessions").add(1);
    sessions_.push_back(s);
    s->start();
  }

  std::shared_ptr<context> ctx_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  std::vector<std::weak_ptr<session>> sessions_;
};

struct server_state {
  static inline const char* name = "SERVER";

  caf::stateful_actor<server_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  std::shared_ptr<listener> open;
  std::shared_ptr<pulse::loop> beat;

  ~server_state() {
    if (open)
      ctx->rt.io().run_and_wait([l = open] { l->close(); });
  }

  void listen() {
    const auto at = ctx->settings.listen.text();
    std::string cause;
    try {
      auto tls = ctx->settings.tls.enabled ? net::make_tls_context(ctx->settings.tls, false) : nullptr;
      auto fresh = std::make_shared<listener>(ctx, tls);
      ctx->rt.io().run_and_wait([&] {
        try {
          fresh->open();
        } catch (const boost::system::system_error& e) {
          cause = e.code().message();
        }
      });
      if (cause.empty()) {
        open = fresh;
        ctx->rt.set_state("server", "listening", at);
        return;
      }
    } catch (const std::exception& e) {
      cause = e.what();
    }
    ctx->rt.set_state("server", "failing", fmt::format("failed to listen on {}: {}", at, cause), false);
    self->delayed_send(self, listen_retry, listen_due{});
  }
};

caf::behavior server(caf::stateful_actor<server_state>* self, std::shared_ptr<context> ctx) {
  actor::guard(self, "SERVER");
  auto& st = self->state;
  st.self = self;
  st.ctx = std::move(ctx);
  st.beat = st.ctx->rt.pulse().add("server", std::chrono::seconds(10));
  st.listen();
  self->delayed_send(self, beat_period, caf::tick_atom::value);
  return {
    [self](const listen_due&) { self->state.listen(); },
    [self](caf::tick_atom) {
      self->state.beat->beat();
      self->delayed_send(self, beat_period, caf::tick_atom::value);
    },
  };
}

} // namespace

caf::actor spawn_server(caf::actor_system& system, std::shared_ptr<context> ctx) {
  return system.spawn(server, std::move(ctx));
}

} // namespace holdfast::collector
