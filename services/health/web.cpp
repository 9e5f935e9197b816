#include "services/health/web.hpp"

#include "common/net/io_loop.hpp"
#include "services/health/exposition.hpp"
#include "services/health/page.hpp"
#include "services/health/status.hpp"
#include "services/health/web_session.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <sys/resource.h>
#include <unistd.h>

namespace holdfast::health {

namespace {

using tcp = boost::asio::ip::tcp;
using error_code = boost::system::error_code;
using steady = std::chrono::steady_clock;

constexpr milliseconds accept_pause{200};  // after an error such as too many open files
constexpr int low_priority = 10;
constexpr const char* json_type = "application/json";
constexpr const char* text_type = "text/plain; charset=utf-8";

/// Runs in the loop's thread only. Kept alive by its pending accept and by the sessions.
class site : public answers, public std::enable_shared_from_this<site> {
public:
  site(boost::asio::io_context& io, tcp::acceptor acceptor, metrics& m, std::function<void()> want, web_limits limits)
      : acceptor_(std::move(acceptor)), pause_(io), patience_(io), want_(std::move(want)), limits_(limits),
        requests_(m.counter("holdfast_health_requests_total", "HTTP requests")),
        refused_(m.counter("holdfast_health_connections_refused_total", "HTTP connections above the limit")),
        connections_(m.gauge("holdfast_health_connections", "Open HTTP connections")) {}

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](error_code ec, tcp::socket socket) {
      if (ec == boost::asio::error::operation_aborted || !self->acceptor_.is_open())
        return;
      if (ec)
        return self->accept_later();
      if (self->open_ >= self->limits_.connections)
        self->refused_.add();  // the socket's destructor closes it
      else
        std::make_shared<web_session>(std::move(socket), self)->read();
      self->accept();
    });
  }

  void close() {
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    patience_.cancel();
    waiting_.clear();
  }

  void show(picture_ptr p) {
    picture_ = std::move(p);
    shown_at_ = steady::now();
    metrics_.reset();
    status_.reset();
    patience_.cancel();
    asked_ = false;
    serve_waiting();
  }

  // -- answers --------------------------------------------------------------------------------------------------------

  void get(std::string_view path, receiver done) override {
    requests_.add();
    if (path == "/")
      return done({200, "text/html; charset=utf-8", nullptr, page_html()});
    if (path != "/metrics" && path != "/status.json" && path != "/healthz")
      return done({404, text_type, nullptr, "not found: try /, /status.json, /metrics or /healthz\n"});
    if (picture_ && steady::now() - shown_at_ < limits_.fresh)
      return done(render(path));
    waiting_.push_back({std::string(path), std::move(done)});
    ask();
  }
  const web_limits& limits() const noexcept override { return limits_; }
  void opened(bool now_open) override {
    now_open ? ++open_ : --open_;
    connections_.set(static_cast<double>(open_));
  }

private:
  struct waiter {
    std::string path;
    receiver done;
  };

  void accept_later() {
    pause_.expires_after(accept_pause);
    pause_.async_wait([self = shared_from_this()](error_code ec) {
      if (!ec)
        self->accept();
    });
  }

  /// One question at a time, however many wait for its answer.
  void ask() {
    if (asked_)
      return;
    asked_ = true;
    patience_.expires_after(limits_.patience);
    patience_.async_wait([self = shared_from_this()](error_code ec) {
      if (ec)
        return;
      self->asked_ = false;
      self->picture_ = nullptr;  // too old to be shown
      self->serve_waiting();
    });
    want_();
  }

  void serve_waiting() {
    for (auto& w : std::exchange(waiting_, {}))
      w.done(picture_ ? render(w.path) : content{503, text_type, nullptr, "the monitor does not answer\n"});
  }

  content render(std::string_view path) {
    if (path == "/metrics")
      return from(metrics_, 200, "text/plain; version=0.0.4; charset=utf-8", [&] { return prometheus_text(*picture_); });
    if (path == "/status.json")
      return from(status_, 200, json_type, [&] { return status_json(*picture_); });
    auto v = healthz(*picture_);
    std::shared_ptr<const std::string> text;
    return from(text, v.healthy ? 200 : 503, json_type, [&] { return std::move(v.json); });
  }

  template <class F>
  static content from(std::shared_ptr<const std::string>& kept, unsigned status, const char* type, F make) {
    if (!kept)
      kept = std::make_shared<const std::string>(make());
    return {status, type, kept, *kept};
  }

  tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  boost::asio::steady_timer patience_;
  std::function<void()> want_;
  web_limits limits_;
  metrics::value& requests_;
  metrics::value& refused_;
  metrics::value& connections_;
  std::size_t open_ = 0;
  bool asked_ = false;
  std::vector<waiter> waiting_;
  picture_ptr picture_;
  steady::time_point shown_at_;
  std::shared_ptr<const std::string> metrics_;  // rendered from the picture
  std::shared_ptr<const std::string> status_;
};

tcp::acceptor listen_at(boost::asio::io_context& io, const config::endpoint& e) {
  try {
    tcp::resolver resolver(io);
    const tcp::endpoint address = *resolver.resolve(e.host, std::to_string(e.port), tcp::resolver::passive).begin();
    return tcp::acceptor(io, address);  // with SO_REUSEADDR
  } catch (const boost::system::system_error& x) {
    throw std::runtime_error(fmt::format("failed to listen at {}: {}", e.text(), x.code().message()));
  }
}

} // namespace

struct web_server::impl {
  net::io_loop loop;
  std::weak_ptr<site> pages;  // dies in the loop's thread, with its last handler
  std::uint16_t port = 0;

  impl(pulse& p) : loop(p, "web") {}
};

web_server::web_server(const config::endpoint& listen, pulse& p, metrics& m, std::function<void()> want, web_limits limits)
    : impl_(std::make_unique<impl>(p)) {
  auto acceptor = listen_at(impl_->loop.context(), listen);
  impl_->port = acceptor.local_endpoint().port();
  auto pages = std::make_shared<site>(impl_->loop.context(), std::move(acceptor), m, std::move(want), limits);
  impl_->pages = pages;
  impl_->loop.post([pages = std::move(pages)] {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), low_priority);
    pages->accept();
  });
}

web_server::~web_server() {
  impl_->loop.run_and_wait([weak = impl_->pages] {
    if (auto pages = weak.lock())
      pages->close();
  });
}

void web_server::show(picture_ptr p) {
  impl_->loop.post([weak = impl_->pages, p = std::move(p)]() mutable {
    if (auto pages = weak.lock())
      pages->show(std::move(p));
  });
}

std::uint16_t web_server::port() const noexcept { return impl_->port; }

} // namespace holdfast::health
