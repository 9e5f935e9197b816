#include "services/health/web_session.hpp"

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

namespace holdfast::health {

namespace http = boost::beast::http;

web_session::web_session(boost::asio::ip::tcp::socket socket, std::shared_ptr<answers> site)
    : stream_(std::move(socket)), site_(std::move(site)), buffer_(site_->limits().request_bytes) {
  site_->opened(true);
}

web_session::~web_session() { site_->opened(false); }

void web_session::read() {
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(site_->limits().request_bytes));
  parser_->body_limit(std::uint64_t{0});
  stream_.expires_after(site_->limits().timeout);
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this()](error_code ec, std::size_t) { self->on_request(ec); });
}

void web_session::on_request(error_code ec) {
  if (ec == http::error::end_of_stream)
    return finish();
  if (ec && ec.category() != http::make_error_code(http::error::bad_target).category())
    return;  // gone or too slow
  response_ = {};
  const auto& request = parser_->get();
  response_.version(request.version() == 10 ? 10 : 11);
  if (ec) {
    const bool large = ec == http::error::header_limit || ec == http::error::buffer_overflow;
    response_.keep_alive(false);
    return answer({large ? 431u : 400u, "text/plain; charset=utf-8", nullptr, large ? "request too large\n" : "bad request\n"});
  }
  response_.keep_alive(request.keep_alive());
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    response_.set(http::field::allow, "GET, HEAD");
    return answer({405, "text/plain; charset=utf-8", nullptr, "only GET and HEAD\n"});
  }
  const std::string_view target(request.target().data(), request.target().size());
  site_->get(target.substr(0, target.find('?')), [self = shared_from_this()](content c) { self->answer(std::move(c)); });
}

void web_session::answer(content c) {
  content_ = std::move(c);
  response_.result(content_.status);
  response_.set(http::field::server, "holdfast");
  response_.set(http::field::content_type, content_.type);
  response_.set(http::field::cache_control, "no-store");
  response_.set("X-Content-Type-Options", "nosniff");
  response_.set("Referrer-Policy", "no-referrer");
  // The page brings its own style and script and loads nothing but /status.json from here.
  response_.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                                           "connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'");
  response_.content_length(content_.text.size());
  if (parser_->get().method() != http::verb::head)
    response_.body() = {content_.text.data(), content_.text.size()};
  stream_.expires_after(site_->limits().timeout);
  http::async_write(stream_, response_, [self = shared_from_this()](error_code ec, std::size_t) {
    self->content_ = {};
    if (ec)
      return;
    if (self->response_.keep_alive())
      self->read();
    else
      self->finish();
  });
}

void web_session::finish() {
  error_code ignored;
  stream_.socket().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
}

} // namespace holdfast::health
