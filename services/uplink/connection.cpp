#include "services/uplink/connection.hpp"

#include "services/uplink/knock.hpp"
#include "services/uplink/outbox.hpp"

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
#include <optional>
#include <utility>

namespace holdfast::uplink {

namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;
using clock = std::chrono::steady_clock;

constexpr std::size_t max_reply_payload = 0;  // a collector sends headers only

class tcp_connection final : public connection {
public:
  tcp_connection(boost::asio::io_context& io, const config::link& link, std::shared_ptr<boost::asio::ssl::context> tls,
                 std::shared_ptr<net::address_cache> addresses, const v1::WireMessage& hello, callbacks c)
      : io_(io), link_(link), tls_(std::move(tls)), addresses_(std::move(addresses)), hello_(hello),
        callbacks_(std::move(c)), names_(io, {link.interface, link.source_address, {}}), deadline_(io), patience_(io) {}

  void start() override {
    boost::asio::post(io_, [self = me()] { self->resolve(); });
  }

  void send(const v1::WireMessage& header, blob payload) override {
    boost::asio::post(io_, [self = me(), header, payload = std::move(payload)]() mutable {
      if (!self->ended_)
        self->queue(header, std::move(payload));
    });
  }

  net::path_figures path() override {
    std::lock_guard lock(path_mutex_);
    look();
    return path_;
  }

  void close(const std::string& why, bool its_fault) override {
    boost::asio::post(io_, [self = me(), why, its_fault] { self->end(why, its_fault); });
  }

private:
  std::shared_ptr<tcp_connection> me() { return std::static_pointer_cast<tcp_connection>(shared_from_this()); }

  void resolve() {
    until_ = clock::now() + link_.connect_timeout;
    deadline_.expires_at(until_);
    deadline_.async_wait([self = me()](error_code ec) {
      if (!ec && !self->chosen_)
        self->end(fmt::format("failed to resolve {}: no answer in time", self->link_.connect.host));
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
    deadline_.cancel();
    connect_next(cause);
  }

  // One address after the other, each with its share of the time; the last failure is told. What an older one still has
  // to say no longer counts.
  void connect_next(const std::string& cause) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until_ - clock::now());
    if (targets_.empty() || left.count() <= 0)
      return end(cause.empty() ? "no connection in time" : cause);
    share_ = net::address_cache::share(left, link_.connect_timeout, targets_.size());
    to_ = std::exchange(targets_.front(), {});
    targets_.pop_front();
    const auto n = ++turn_;
    deadline_.expires_after(share_);
    deadline_.async_wait([self = me(), n](error_code ec) {
      if (!ec && !self->over(n) && !self->welcomed_)
        self->failed(self->open_ ? fmt::format("no welcome from {} in {} ms", self->stream_->peer(),
                                               self->share_.count())
                                 : "no connection in time");
    });
    socket_ = std::make_unique<tcp::socket>(io_);
    const tcp::endpoint there(boost::asio::ip::make_address(to_), link_.connect.port);
    try {
      net::open_bound(*socket_, there, link_.interface, link_.source_address);
    } catch (const std::exception& e) {
      return failed(not_connected(e.what()));
    }
    net::pace(*socket_, link_.bandwidth.count);
    callbacks_.on_way(to_, link_.source_address);
    socket_->async_connect(there, [self = me(), n](error_code ec) {
      if (!self->over(n))
        self->connected(ec);
    });
  }

  std::string not_connected(const std::string& cause) const {
    return fmt::format("failed to connect {}: {}", link_.connect.text(), cause);
  }

  void connected(error_code ec) {
    answered_ = answered_ || !silent(ec);
    if (ec)
      return failed(not_connected(ec.message()));
    callbacks_.on_reached();
    error_code ignored;
    callbacks_.on_way(to_, socket_->local_endpoint(ignored).address().to_string());
    net::tune(*socket_, link_.keepalive, link_.user_timeout);
    tell_path(socket_->native_handle());
    const auto& name = link_.tls.server_name.empty() ? link_.connect.host : link_.tls.server_name;
    stream_ = net::make_stream(std::move(*socket_), tls_, tls_ ? name : std::string());
    stream_->handshake(true, [self = me(), at = stream_, n = turn_](error_code failure) {
      if (!self->over(n))
        self->secured(failure);
    });
  }

  void secured(error_code ec) {
    if (ec)
      return failed(fmt::format("failed TLS handshake with {}: {}", stream_->peer(), stream_->explain(ec)));
    open_ = true;
    queue(hello_, {});
    read();
  }

  // This address did not work: the next one has its turn. A session that stood ends.
  void failed(const std::string& why) {
    if (welcomed_ || targets_.empty())
      return end(why, true);
    log::debug("address failed link={} address={} cause=\"{}\"", link_.name, to_, why);
    addresses_->failed(to_);
    let_go();
    connect_next(why);
  }

  bool over(std::uint64_t n) const noexcept { return ended_ || n != turn_; }

  void read() {
    auto [to, size] = reader_.room();
    stream_->read_some(boost::asio::buffer(to, size), [self = me(), at = stream_, n = turn_](error_code ec,
                                                                                             std::size_t bytes) {
      if (self->over(n))
        return;
      if (ec)
        return self->failed(ec == boost::asio::error::eof ? "closed by the other end" : ec.message());
      self->reader_.filled(bytes);
      self->take_frames();
    });
  }

  void take_frames() {
    const auto n = turn_;
    while (auto f = reader_.next()) {
      v1::WireMessage m;
      if (!m.ParseFromArray(f->header.data(), static_cast<int>(f->header.size())))
        return failed("malformed frame from " + stream_->peer());
      take(m);
      if (over(n))
        return;
    }
    if (!reader_.error().empty())
      return failed(fmt::format("malformed frame from {}: {}", stream_->peer(), reader_.error()));
    read();
  }

  void take(const v1::WireMessage& m) {
    if (m.has_refusal())
      return failed(fmt::format("refused by {}: {}", stream_->peer(), m.refusal().reason()));
    if (!welcomed_ && m.has_welcome()) {
      deadline_.cancel();
      welcomed_ = clock::now();
      addresses_->worked(to_);
      callbacks_.on_open(stream_->peer());
    }
    if (welcomed_)
      callbacks_.on_message(m);
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

  void queue(const v1::WireMessage& header, blob payload) {
    auto head = net::encode_wire(header, payload.size());
    outbox_.put(header, {std::move(head), std::move(payload)});
    if (open_)
      write();
  }

  void write() {
    if (writing_ || outbox_.empty())
      return;
    writing_ = true;
    auto batch = std::make_shared<std::vector<outbox::frame>>(outbox_.take());
    std::vector<boost::asio::const_buffer> buffers;
    for (auto& o : *batch) {
      buffers.emplace_back(o.head.data(), o.head.size());
      if (!o.payload.empty())
        buffers.emplace_back(o.payload.data(), o.payload.size());
    }
    stream_->write(buffers, [self = me(), batch, at = stream_, n = turn_](error_code ec, std::size_t) {
      if (self->over(n))
        return;
      self->writing_ = false;
      if (ec)
        return self->failed(ec.message());
      self->write();
    });
  }

  void let_go() {
    tell_path(-1);
    error_code ignored;
    if (socket_)
      socket_->close(ignored);
    if (stream_)
      stream_->close();
    open_ = writing_ = false;
    outbox_.clear();
    reader_ = net::wire_reader(max_reply_payload);
  }

  // A session that did not last says as little for its address as an attempt that failed; one that did is tried there
  // once more: most often it was the way that went silent.
  void end(const std::string& why, bool its_fault = false) {
    if (ended_)
      return;
    ended_ = true;
    if (its_fault && (!welcomed_ || clock::now() - *welcomed_ < link_.reconnect.stable))
      addresses_->failed(to_);
    deadline_.cancel();
    patience_.cancel();
    names_.cancel();
    let_go();
    callbacks_.on_end(why, answered_);
    boost::asio::post(io_, [self = me()] { self->callbacks_ = {}; });  // they may hold this connection's owner
  }

  boost::asio::io_context& io_;
  config::link link_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  std::shared_ptr<net::address_cache> addresses_;
  const v1::WireMessage hello_;
  callbacks callbacks_;
  net::name_lookup names_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer patience_;  // with the name service
  clock::time_point until_{};           // there is a welcome, or the attempt is over
  std::deque<std::string> targets_;     // addresses still to be tried
  std::string to_;                      // the one whose turn it is, the turn_-th
  std::uint64_t turn_ = 0;
  std::chrono::milliseconds share_{};   // of the time, for this one
  bool chosen_ = false;                 // addresses are
  bool answered_ = false;               // by the other end's TCP
  std::unique_ptr<tcp::socket> socket_;
  std::shared_ptr<net::stream> stream_;
  net::wire_reader reader_{max_reply_payload};
  outbox outbox_;
  bool open_ = false;                   // bytes may go
  std::optional<clock::time_point> welcomed_;
  std::atomic<bool> writing_{false};
  bool ended_ = false;
  std::mutex path_mutex_;
  net::path_figures path_;  // guarded by path_mutex_, as is the next
  int descriptor_ = -1;     // while the connection stands
};

} // namespace

std::shared_ptr<connection> connection::make(boost::asio::io_context& io, const config::link& link,
                                             std::shared_ptr<boost::asio::ssl::context> tls,
                                             std::shared_ptr<net::address_cache> addresses,
                                             const v1::WireMessage& hello, callbacks c) {
  return std::make_shared<tcp_connection>(io, link, std::move(tls), std::move(addresses), hello, std::move(c));
}

} // namespace holdfast::uplink
