#include "services/uplink/connection.hpp"

#include "services/uplink/knock.hpp"

#include "common/net/binding.hpp"
#include "common/net/stream.hpp"
#include "common/net/wire.hpp"
#include "common/telemetry/log.hpp"
#include "holdfast/v1/wire.pb.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <utility>

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
                 std::shared_ptr<net::address_cache> addresses, callbacks c)
      : io_(io), link_(link), tls_(std::move(tls)), addresses_(std::move(addresses)), callbacks_(std::move(c)),
        resolver_(io), deadline_(io), patience_(io), reader_(max_reply_payload) {}

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
    std::lock_guard lock(path_mutex_);
    look();
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
    error_code not_an_address;
    boost::asio::ip::make_address(link_.connect.host, not_an_address);
    if (!not_an_address)
      return connect({link_.connect.host}, {});
    if (!addresses_->known().empty()) {
      patience_.expires_after(resolve_timeout);
      patience_.async_wait([self = me()](error_code ec) {
        if (!ec)
          self->use_known(fmt::format("no answer for {} ms", resolve_timeout.count()));
      });
    }
    resolver_.async_resolve(link_.connect.host, std::to_string(link_.connect.port),
                            [self = me()](error_code ec, const tcp::resolver::results_type& found) {
                              ec ? self->use_known(ec.message()) : self->resolved(found);
                            });
  }

  void resolved(const tcp::resolver::results_type& found) {
    std::vector<std::string> addresses;
    for (auto& entry : found)
      addresses.push_back(entry.endpoint().address().to_string());
    addresses_->resolved(addresses, net::address_cache::clock::now());
    connect(addresses_->known(), {});
  }

  void use_known(const std::string& cause) {
    if (ended_ || chosen_)
      return;
    const auto& known = addresses_->known();
    if (known.empty())
      return end(fmt::format("failed to resolve {}: {}", link_.connect.host, cause));
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(
      addresses_->age(net::address_cache::clock::now()));
    log::warn("name not resolved, last addresses used link={} host={} cause=\"{}\" age_s={} first={}", link_.name,
              link_.connect.host, cause, age.count(), known.front());
    connect(known, cause);
  }

  void connect(const std::vector<std::string>& addresses, const std::string& cause) {
    if (ended_ || std::exchange(chosen_, true))
      return;  // the name service was late; what it said is known for the next time
    patience_.cancel();
    targets_.assign(addresses.begin(), addresses.end());
    connect_next(cause);
  }

  // One address after the other; the last failure is told.
  void connect_next(const std::string& cause) {
    if (targets_.empty())
      return end(fmt::format("failed to connect {}: {}", link_.connect.text(), cause));
    const auto to = std::exchange(targets_.front(), {});
    targets_.pop_front();
    socket_ = std::make_unique<tcp::socket>(io_);
    const tcp::endpoint there(boost::asio::ip::make_address(to), link_.connect.port);
    try {
      net::open_bound(*socket_, there, link_.interface, link_.source_address);
    } catch (const std::exception& e) {
      return connect_next(e.what());
    }
    net::pace(*socket_, link_.bandwidth.count);
    callbacks_.on_way(to, link_.source_address);
    socket_->async_connect(there, [self = me(), to](error_code ec) {
      if (self->ended_)
        return;
      self->answered_ = self->answered_ || !silent(ec);
      if (ec)
        return self->connect_next(ec.message());
      self->callbacks_.on_reached();
      self->addresses_->worked(to);
      error_code ignored;
      self->callbacks_.on_way(to, self->socket_->local_endpoint(ignored).address().to_string());
      self->secure();
    });
  }

  void secure() {
    net::tune(*socket_, link_.keepalive, link_.user_timeout);
    tell_path(socket_->native_handle());
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

  // path_mutex_ is held, and so the descriptor is no other connection's yet.
  void look() {
    if (descriptor_ < 0)
      return;
    path_ = net::read_path(descriptor_);
    path_.waiting = path_.waiting || writing_;
  }

  void tell_path(int descriptor) {
    std::lock_guard lock(path_mutex_);
    look();
    descriptor_ = descriptor;
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
    patience_.cancel();
    resolver_.cancel();
    tell_path(-1);
    error_code ignored;
    if (socket_)
      socket_->close(ignored);
    if (stream_)
      stream_->close();
    callbacks_.on_end(why, answered_);
    boost::asio::post(io_, [self = me()] { self->callbacks_ = {}; });  // they may hold this connection's owner
  }

  boost::asio::io_context& io_;
  config::link link_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  std::shared_ptr<net::address_cache> addresses_;
  callbacks callbacks_;
  tcp::resolver resolver_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer patience_;  // with the name service
  std::deque<std::string> targets_;     // addresses still to be tried
  bool chosen_ = false;                 // addresses are
  bool answered_ = false;               // by the other end's TCP
  std::unique_ptr<tcp::socket> socket_;
  std::shared_ptr<net::stream> stream_;
  net::wire_reader reader_;
  std::deque<outgoing> queue_;
  bool open_ = false;
  std::atomic<bool> writing_{false};
  bool ended_ = false;
  std::mutex path_mutex_;
  net::path_figures path_;  // guarded by path_mutex_, as is the next
  int descriptor_ = -1;     // while the connection stands
};

} // namespace

std::shared_ptr<connection> connection::make(boost::asio::io_context& io, const config::link& link,
                                             std::shared_ptr<boost::asio::ssl::context> tls,
                                             std::shared_ptr<net::address_cache> addresses, callbacks c) {
  return std::make_shared<tcp_connection>(io, link, std::move(tls), std::move(addresses), std::move(c));
}

} // namespace holdfast::uplink
