#include "services/uplink/connection.hpp"

#include "services/uplink/tcp_connection.hpp"

#include "common/telemetry/log.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace holdfast::uplink {

void tcp_connection::start() {
  boost::asio::post(io_, [self = me()] { self->resolve(); });
}

void tcp_connection::send(const v1::WireMessage& header, blob payload) {
  boost::asio::post(io_, [self = me(), header, payload = std::move(payload)]() mutable {
    if (!self->ended_)
      self->queue(header, std::move(payload));
  });
}

net::path_figures tcp_connection::path() {
  std::lock_guard lock(path_mutex_);
  look();
  return path_;
}

void tcp_connection::close(const std::string& why, bool its_fault) {
  boost::asio::post(io_, [self = me(), why, its_fault] { self->end(why, its_fault); });
}

// This address did not work: the next one has its turn. A session that stood ends.
void tcp_connection::failed(const std::string& why) {
  if (welcomed_ || targets_.empty())
    return end(why, true);
  log::debug("address failed link={} address={} cause=\"{}\"", link_.name, to_, why);
  addresses_->failed(to_);
  let_go();
  connect_next(why);
}

void tcp_connection::let_go() {
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
void tcp_connection::end(const std::string& why, bool its_fault) {
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

std::shared_ptr<connection> connection::make(boost::asio::io_context& io, const config::link& link,
                                             std::shared_ptr<boost::asio::ssl::context> tls,
                                             std::shared_ptr<net::address_cache> addresses,
                                             const v1::WireMessage& hello, callbacks c) {
  return std::make_shared<tcp_connection>(io, link, std::move(tls), std::move(addresses), hello, std::move(c));
}

} // namespace holdfast::uplink
