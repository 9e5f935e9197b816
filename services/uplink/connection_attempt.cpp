// From a name to a session's hello.

#include "services/uplink/knock.hpp"
#include "services/uplink/tcp_connection.hpp"

#include "common/net/binding.hpp"
#include "common/telemetry/log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace holdfast::uplink {

void tcp_connection::resolve() {
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

void tcp_connection::resolved(const std::vector<std::string>& addresses) {
  addresses_->resolved(addresses, net::address_cache::clock::now());
  connect(addresses_->known(), {});
}

void tcp_connection::use_known(const std::string& cause) {
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

void tcp_connection::connect(const std::vector<std::string>& addresses, const std::string& cause) {
  if (ended_ || std::exchange(chosen_, true))
    return;  // the name service was late; what it said is known for the next time
  patience_.cancel();
  targets_.assign(addresses.begin(), addresses.end());
  deadline_.cancel();
  connect_next(cause);
}

// One address after the other, each with its share of the time; the last failure is told. What an older one still has
// to say no longer counts.
void tcp_connection::connect_next(const std::string& cause) {
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

std::string tcp_connection::not_connected(const std::string& cause) const {
  return fmt::format("failed to connect {}: {}", link_.connect.text(), cause);
}

void tcp_connection::connected(error_code ec) {
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

void tcp_connection::secured(error_code ec) {
  if (ec)
    return failed(fmt::format("failed TLS handshake with {}: {}", stream_->peer(), stream_->explain(ec)));
  open_ = true;
  queue(hello_, {});
  read();
}

} // namespace holdfast::uplink
