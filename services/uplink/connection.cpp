#include "services/uplink/connection.hpp"

#include "common/net/stream.hpp"
#include "common/net/wire.hpp"
#include "holdfast/v1/wire.pb.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <deque>
#include <mutex>

namespace holdfast::uplink {

namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t max_reply_payload = 0;  // a collector sends headers only
constexpr std::size_t frames_per_write = 64;  // below the kernel's limit of buffers in one call
constexpr std::size_t bytes_per_write = 64 * 1024;  // or one frame: a ping waits for as much

class tcp_connection final : public connection {
public:
  tcp_connection(boost::asio::io_context& io, const config::link& link, std::shared_ptr<boost::asio::ssl::context> tls,
                 callbacks c)
      : io_(io), link_(link), tls_(std::move(tls)), callbacks_(std::move(c)), resolver_(io), deadline_(io),
        reader_(max_reply_payload) {}

  void start() override {
    boost::asio::post(io_, [self = me()] { self->resolve(); });
  }

  void send(const v1::WireMessage& header, blob payload) override {
    boost::asio::post(io_, [self = me(), urgent = header.has_ping(), head = net::encode_wire(header, payload.size()),
                            payload = std::move(payload)]() mutable {
      self->queue({std::move(head), std::move(payload)}, urgent);
    });
  }

  net::path_figures path() override {
    boost::asio::post(io_, [self = me()] { self->look(); });
    std::lock_guard lock(path_mutex_);
    return path_;
  }

  void close(const std::string& why) override {
    boost::asio::post(io_, [self = me(), why] { self->end(why); });
  }

private:
  struct outgoing {
    std::string head;
    blob payload;
  };

  std::shared_ptr<tcp_connection> me() { return std::static_pointer_cast<tcp_connection>(shared_from_this()); }

  void resolve() {
    deadline_.expires_after(link_.connect_timeout);
    deadline_.async_wait([self = me()](error_code ec) {
      if (!ec)
        self->end("no connection in time");
    });
    resolver_.async_resolve(link_.connect.host, std::to_string(link_.connect.port),
                            [self = me()](error_code ec, tcp::resolver::results_type found) {
                              if (ec)
                                return self->end(fmt::format("failed to resolve {}: {}", self->link_.connect.host,
                                                             ec.message()));
                              self->connect(found);
                            });
  }

  void connect(const tcp::resolver::results_type& found) {
    socket_ = std::make_unique<tcp::socket>(io_);
    boost::asio::async_connect(*socket_, found, [self = me()](error_code ec, const tcp::endpoint&) {
      if (ec || self->ended_)
        return self->end(fmt::format("failed to connect {}: {}", self->link_.connect.text(), ec.message()));
      self->secure();
    });
  }

  void secure() {
    net::tune(*socket_, link_.keepalive, link_.user_timeout);
    const auto& name = link_.tls.server_name.empty() ? link_.connect.host : link_.tls.server_name;
    stream_ = net::make_stream(std::move(*socket_), tls_, tls_ ? name : std::string());
    stream_->handshake(true, [self = me()](error_code ec) {
      if (ec || self->ended_)
        return self->end(fmt::format("failed TLS handshake with {}: {}", self->stream_->peer(),
                                     self->stream_->explain(ec)));
      self->deadline_.cancel();
      self->open_ = true;
      self->callbacks_.on_open(self->stream_->peer());
      self->read();
      self->write();
    });
  }

  void read() {
    auto [to, size] = reader_.room();
    stream_->read_some(boost::asio::buffer(to, size), [self = me()](error_code ec, std::size_t n) {
      if (ec || self->ended_)
        return self->end(ec == boost::asio::error::eof ? "closed by the other end" : ec.message());
      self->reader_.filled(n);
      while (auto f = self->reader_.next()) {
        v1::WireMessage m;
        if (!m.ParseFromArray(f->header.data(), static_cast<int>(f->header.size())))
          return self->end("malformed frame from " + self->stream_->peer());
        self->callbacks_.on_message(m);
        if (self->ended_)
          return;
      }
      if (!self->reader_.error().empty())
        return self->end(fmt::format("malformed frame from {}: {}", self->stream_->peer(), self->reader_.error()));
      self->read();
    });
  }

  void look() {
    if (!open_ || ended_)
      return;
    auto now = net::read_path(stream_->socket().native_handle());
    now.waiting = now.waiting || writing_;
    std::lock_guard lock(path_mutex_);
    path_ = now;
  }

  void queue(outgoing o, bool urgent) {
    if (ended_)
      return;
    queue_.insert(urgent ? queue_.begin() : queue_.end(), std::move(o));
    if (open_)
      write();
  }

  void write() {
    if (writing_ || queue_.empty() || ended_)
      return;
    writing_ = true;
    auto batch = std::make_shared<std::vector<outgoing>>();
    std::vector<boost::asio::const_buffer> buffers;
    for (std::size_t bytes = 0; !queue_.empty() && batch->size() < frames_per_write && bytes < bytes_per_write;) {
      bytes += queue_.front().payload.size();
      batch->push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    for (auto& o : *batch) {
      buffers.emplace_back(o.head.data(), o.head.size());
      if (!o.payload.empty())
        buffers.emplace_back(o.payload.data(), o.payload.size());
    }
    stream_->write(buffers, [self = me(), batch](error_code ec, std::size_t) {
      self->writing_ = false;
      if (ec)
        return self->end(ec.message());
      self->write();
    });
  }

  void end(const std::string& why) {
    if (ended_)
      return;
    ended_ = true;
    deadline_.cancel();
    resolver_.cancel();
    error_code ignored;
    if (socket_)
      socket_->close(ignored);
    if (stream_)
      stream_->close();
    callbacks_.on_end(why);
    boost::asio::post(io_, [self = me()] { self->callbacks_ = {}; });  // they may hold this connection's owner
  }

  boost::asio::io_context& io_;
  config::link link_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  callbacks callbacks_;
  tcp::resolver resolver_;
  boost::asio::steady_timer deadline_;
  std::unique_ptr<tcp::socket> socket_;
  std::shared_ptr<net::stream> stream_;
  net::wire_reader reader_;
  std::deque<outgoing> queue_;
  bool open_ = false;
  bool writing_ = false;
  bool ended_ = false;
  std::mutex path_mutex_;
  net::path_figures path_;  // guarded by path_mutex_
};

} // namespace

std::shared_ptr<connection> connection::make(boost::asio::io_context& io, const config::link& link,
                                             std::shared_ptr<boost::asio::ssl::context> tls, callbacks c) {
  return std::make_shared<tcp_connection>(io, link, std::move(tls), std::move(c));
}

} // namespace holdfast::uplink
