#pragma once

// Included by the web sources only: it pulls in Beast.

#include "services/health/web.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/span_body.hpp>

#include <optional>
#include <string_view>

namespace holdfast::health {

/// One answer's content; the owner keeps the text alive until it is sent.
struct content {
  unsigned status = 200;
  const char* type = "text/plain; charset=utf-8";
  std::shared_ptr<const void> owner;
  std::string_view text;
};

/// Where sessions get their answers; lives as long as the last session.
class answers {
public:
  virtual ~answers() = default;
  using receiver = std::function<void(content)>;
  /// Calls `done` in the loop's thread, now or within the limit of patience.
  virtual void get(std::string_view path, receiver done) = 0;
  virtual const web_limits& limits() const noexcept = 0;
  virtual void opened(bool now_open) = 0;
};

/// One connection: reads a request, answers it, and again, until an error, a time limit or the peer's wish ends it.
class web_session : public std::enable_shared_from_this<web_session> {
public:
  web_session(boost::asio::ip::tcp::socket socket, std::shared_ptr<answers> site);
  ~web_session();
  void read();

private:
  using error_code = boost::beast::error_code;
  void on_request(error_code ec);
  void answer(content c);
  void finish();

  boost::beast::tcp_stream stream_;
  std::shared_ptr<answers> site_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::empty_body>> parser_;
  boost::beast::http::response<boost::beast::http::span_body<const char>> response_;
  content content_;
};

} // namespace holdfast::health
