#include "services/uplink/connection.hpp"

#include "services/uplink/knock.hpp"

#include "common/net/binding.hpp"
#include "common/net/name_lookup.hpp"
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

#include <algorithm>
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
constexpr std::uint64_t most_overtaken = 1024 * 1024;  // four of the backlog's batches: it keeps a fifth of the link

class tcp_connection final : public connection {
public:
  tcp_connection(boost::asio::io_context& io, const config::link& link, std::shared_ptr<boost::asio::ssl::context> tls,
                 std::shared_ptr<net::address_cache> addresses, callbacks c)
      : io_(io), link_(link), tls_(std::move(tls)), addresses_(std::move(addresses)), callbacks_(std::move(c)),
        names_(io, {link.interface, link.source_address, {}}), deadline_(io), patience_(io),
        reader_(max_reply_payload) {}

  void start() override {
    boost::asio::post(io_, [self = me()] { self->resolve(); });
  }

  void send(const v1::WireMessage& header, blob payload) override {
    const auto to = header.has_ping() ? &tcp_connection::pings_
                    : header.data().historical() ? &tcp_connection::backlog_ : &tcp_connection::live_;
    boost::asio::post(io_, [self = me(), to, head = net::encode_wire(header, payload.size()),
                            payload = std::move(payload)]() mutable {
      self->queue(self.get()->*to, {std::move(head), std::move(payload)});
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
        self->end(self->chosen_ ? "no connection in time"
                                : fmt::format("failed to resolve {}: no answer in time", self->link_.connect.host));
    });
    error_code not_an_address;
    boost::asio::ip::make_address(link_.connect.host, not_an_address);
    if (!not_an_address)
      return connect({link_.connect.host}, {});
    if (!addresses_->known().empty()) {
      const auto wait = std::min(resolve_timeout, link_.connect_timeout / 2);
      patience_.expires_after(wait);
      patience_.async_wait([self = me(), wait](error_code ec) {
        if (!ec)
          self->use_known(fmt::format("no answer for {} ms", wait.count()));
      });
    }
    names_.start(link_.connect.host, [weak = std::weak_ptr(me())](const net::name_lookup::answer& a) {
      if (auto self = weak.lock())
        a.addresses.empty() ? self->use_known(a.error) : self->resolved(a.addresses);
    });
  }

  void resolved(const std::vector<std::string>& addresses) {
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

  void queue(std::deque<outgoing>& to, outgoing o) {
    if (ended_)
      return;
    to.push_back(std::move(o));
    if (open_)
      write();
  }

  // Pings first, then live records; the backlog is overtaken by so much only before its next batch goes.
  std::deque<outgoing>& next() {
    if (!pings_.empty())
      return pings_;
    if (live_.empty() || (!backlog_.empty() && overtaken_ >= most_overtaken)) {
      overtaken_ = 0;
      return backlog_;
    }
    overtaken_ += backlog_.empty() ? 0 : live_.front().payload.size();
    return live_;
  }

  void write() {
    if (writing_ || ended_ || (pings_.empty() && live_.empty() && backlog_.empty()))
      return;
    writing_ = true;
    auto batch = std::make_shared<std::vector<outgoing>>();
    std::vector<boost::asio::const_buffer> buffers;
    for (std::size_t bytes = 0; batch->size() < frames_per_write && bytes < bytes_per_write;) {
      auto& from = next();
      if (from.empty())
        break;
      bytes += from.front().payload.size();
      batch->push_back(std::move(from.front()));
      from.pop_front();
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
    names_.cancel();
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
  net::name_lookup names_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer patience_;  // with the name service
  std::deque<std::string> targets_;     // addresses still to be tried
  bool chosen_ = false;                 // addresses are
  bool answered_ = false;               // by the other end's TCP
  std::unique_ptr<tcp::socket> socket_;
  std::shared_ptr<net::stream> stream_;
  net::wire_reader reader_;
  std::deque<outgoing> pings_;
  std::deque<outgoing> live_;     // and all that is no data
  std::deque<outgoing> backlog_;
  std::uint64_t overtaken_ = 0;   // bytes that went ahead of the backlog's first
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
