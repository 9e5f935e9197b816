#include "services/acquisition/io_intake.hpp"
#include "services/acquisition/redial.hpp"
#include "services/acquisition/stream_intake.hpp"

#include "common/net/name_lookup.hpp"
#include "common/net/stream.hpp"
#include "common/telemetry/log.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>

#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace holdfast::acquisition {

namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using boost::system::error_code;
using clock = std::chrono::steady_clock;
using tcp_conversation = stream_conversation<tcp::socket>;

constexpr auto listen_retry = 1000ms;
constexpr auto accept_pause = 100ms;  // after an error such as too many open files
constexpr auto look = 100ms;          // whether a device is still there

std::string peer_of(const tcp::socket& s) {
  error_code ec;
  const auto e = s.remote_endpoint(ec);
  return ec ? "unknown" : fmt::format("{}:{}", e.address().to_string(), e.port());
}

/// Listens; lives in the io loop's thread.
class listener : public std::enable_shared_from_this<listener> {
public:
  explicit listener(intake_setup s)
      : setup_(std::move(s)), settings_(std::get<config::tcp_server_source>(setup_.settings.kind)),
        acceptor_(setup_.ctx->rt.io().context()),
        timer_(setup_.ctx->rt.io().context()) {}

  void open() {
    if (stopped_)
      return;
    try {
      tcp::resolver resolver(setup_.ctx->rt.io().context());
      const auto found = resolver.resolve(settings_.listen.host, std::to_string(settings_.listen.port));
      const tcp::endpoint at = found.begin()->endpoint();
      acceptor_ = tcp::acceptor(setup_.ctx->rt.io().context());
      acceptor_.open(at.protocol());
      acceptor_.set_option(tcp::acceptor::reuse_address(true));
      acceptor_.bind(at);
      acceptor_.listen();
    } catch (const boost::system::system_error& e) {
      tell("failing", fmt::format("failed to listen on {}: {}", settings_.listen.text(), e.code().message()), false);
      return later(listen_retry, [self = shared_from_this()] { self->open(); });
    }
    tell("listening", settings_.listen.text(), true);
    accept();
  }

  void stop() {
    stopped_ = true;
    error_code ignored;
    acceptor_.close(ignored);
    timer_.cancel();
    for (auto& weak : open_)
      if (auto c = weak.lock())
        c->close("source stops");
  }

private:
  void tell(const char* state, const std::string& detail, bool healthy) {
    setup_.to->send(intake_state{"source:" + setup_.settings.name, state, detail, healthy});
  }

  void later(std::chrono::milliseconds wait, std::function<void()> work) {
    timer_.expires_after(wait);
    timer_.async_wait([work = std::move(work)](error_code ec) {
      if (!ec)
        work();
    });
  }

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](error_code ec, tcp::socket socket) {
      if (self->stopped_ || ec == boost::asio::error::operation_aborted)
        return;
      if (ec)
        return self->later(accept_pause, [self] { self->accept(); });
      self->welcome(std::move(socket));
      self->accept();
    });
  }

  void welcome(tcp::socket socket) {
    std::erase_if(open_, [](auto& weak) {
      auto c = weak.lock();
      return !c || c->closed();
    });
    const auto peer = peer_of(socket);
    // A device that confirms has one connection: the newer one is the device after its reconnect.
    if (settings_.confirm == config::confirm_kind::count)
      for (auto& weak : open_)
        if (auto c = weak.lock())
          c->close("replaced by a newer connection");
    if (settings_.confirm == config::confirm_kind::none && open_.size() >= settings_.max_connections) {
      log::warn("connection refused source={} peer={} cause=\"{} connections are open\"", setup_.settings.name, peer,
                open_.size());
      return;
    }
    net::tune(socket, {}, 30s);
    auto c = std::make_shared<tcp_conversation>(setup_, std::move(socket), peer, frame_gap(settings_.framing));
    open_.push_back(c);
    setup_.to->send(connected{c});
  }

  intake_setup setup_;
  config::tcp_server_source settings_;
  tcp::acceptor acceptor_;
  boost::asio::steady_timer timer_;
  std::vector<std::weak_ptr<tcp_conversation>> open_;
  bool stopped_ = false;
};

/// Connects to a device and connects again; lives in the io loop's thread.
class caller : public std::enable_shared_from_this<caller> {
public:
  explicit caller(intake_setup s)
      : setup_(std::move(s)), settings_(std::get<config::tcp_client_source>(setup_.settings.kind)),
        timer_(setup_.ctx->rt.io().context()) {}

  // Not by Asio's resolver: its one thread stands in each look-up for as long as a name server is silent, and the
  // sources behind it wait, also those with addresses, and a stop.
  void open() {
    if (stopped_)
      return;
    error_code not_an_address;
    boost::asio::ip::make_address(settings_.connect.host, not_an_address);
    if (!not_an_address)
      return connect({settings_.connect.host});
    names_.emplace(setup_.ctx->rt.io().context(), net::name_lookup::settings{});
    names_->start(settings_.connect.host, [weak = weak_from_this()](const net::name_lookup::answer& a) {
      if (auto self = weak.lock())
        a.addresses.empty() ? self->failed("resolve", a.error) : self->connect(a.addresses);
    });
  }

  void stop() {
    stopped_ = true;
    names_.reset();
    timer_.cancel();
    if (open_)
      open_->close("source stops");
  }

private:
  void connect(const std::vector<std::string>& addresses) {
    std::vector<tcp::endpoint> there;
    for (auto& a : addresses)
      there.emplace_back(boost::asio::ip::make_address(a), settings_.connect.port);
    auto socket = std::make_shared<tcp::socket>(setup_.ctx->rt.io().context());
    boost::asio::async_connect(*socket, there, [self = shared_from_this(), socket](error_code ec, const auto&) {
      if (ec || self->stopped_)
        return self->failed("connect", ec.message());
      self->redial_.began(clock::now());
      net::tune(*socket, {}, 30s);
      const auto peer = peer_of(*socket);
      auto c = std::make_shared<tcp_conversation>(self->setup_, std::move(*socket), peer,
                                                  frame_gap(self->settings_.framing));
      self->open_ = c;
      self->setup_.to->send(intake_state{"source:" + self->setup_.settings.name, "connected", peer, true});
      self->setup_.to->send(connected{c});
      self->watch();
    });
  }

  // Looks whether the conversation still stands.
  void watch() {
    timer_.expires_after(look);
    timer_.async_wait([self = shared_from_this()](error_code ec) {
      if (ec || self->stopped_)
        return;
      if (!self->open_->closed())
        return self->watch();
      const auto over = std::exchange(self->open_, nullptr);
      if (self->redial_.ended(over->heard(), clock::now()))
        return self->open();
      self->failed("talk to", over->cause());
    });
  }

  void failed(const char* what, const std::string& cause) {
    if (stopped_)
      return;
    setup_.to->send(intake_state{"source:" + setup_.settings.name, "failing",
                                 fmt::format("failed to {} {}: {}", what, settings_.connect.text(), cause), false});
    timer_.expires_after(redial_.wait(std::uniform_real_distribution<>(0, 1)(chance_)));
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error)
        self->open();
    });
  }

  intake_setup setup_;
  config::tcp_client_source settings_;
  std::optional<net::name_lookup> names_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<tcp_conversation> open_;
  redial redial_;
  std::minstd_rand chance_{std::random_device{}()};
  bool stopped_ = false;
};

} // namespace

std::unique_ptr<intake> make_tcp_server(intake_setup s) { return make_io_intake<listener>(std::move(s)); }
std::unique_ptr<intake> make_tcp_client(intake_setup s) { return make_io_intake<caller>(std::move(s)); }

} // namespace holdfast::acquisition
