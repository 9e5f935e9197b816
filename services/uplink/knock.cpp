#include "services/uplink/knock.hpp"

#include "common/link/monitor.hpp"
#include "common/net/binding.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <stdexcept>
#include <utility>

namespace holdfast::uplink {

using boost::asio::ip::tcp;
using boost::system::error_code;

bool silent(const error_code& ec) {
  return ec && ec != boost::asio::error::connection_refused && ec != boost::asio::error::connection_reset;
}

knock::knock(boost::asio::io_context& io, const config::link& link, std::shared_ptr<net::address_cache> addresses,
             std::function<void()> answered)
    : io_(io), link_(link), addresses_(std::move(addresses)), answered_(std::move(answered)), timer_(io), socket_(io) {}

std::shared_ptr<knock> knock::make(boost::asio::io_context& io, const config::link& link,
                                   std::shared_ptr<net::address_cache> addresses, std::function<void()> answered) {
  return std::shared_ptr<knock>(new knock(io, link, std::move(addresses), std::move(answered)));
}

void knock::start() {
  boost::asio::post(io_, [self = shared_from_this()] {
    if (std::exchange(self->on_, true))
      return;
    self->turn_ = 0;
    self->wait();
  });
}

void knock::stop() {
  boost::asio::post(io_, [self = shared_from_this()] { self->end(); });
}

void knock::end() {
  on_ = false;
  timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
}

void knock::wait() {
  const auto& m = link_.tuning.monitor;
  timer_.expires_after(link::ticks(link::monitor::probe_pace(m, m.recovery_probe)));
  timer_.async_wait([self = shared_from_this()](error_code ec) {
    if (!ec && self->on_)
      self->ask();
  });
}

void knock::ask() {
  error_code ec;
  socket_.close(ec);
  wait();
  to_ = link_.connect.host;
  auto address = boost::asio::ip::make_address(to_, ec);
  if (const auto& known = addresses_->known(); ec && !known.empty()) {
    to_ = known[turn_++ % known.size()];
    address = boost::asio::ip::make_address(to_, ec);
  }
  if (ec)
    return;
  const tcp::endpoint there(address, link_.connect.port);
  try {
    net::open_bound(socket_, there, link_.interface, link_.source_address);
  } catch (const std::exception&) {
    return;  // the attempts tell it
  }
  ++asked_;
  socket_.async_connect(there, [self = shared_from_this()](error_code result) { self->heard(result); });
}

void knock::heard(const error_code& ec) {
  if (!on_ || silent(ec))
    return;
  end();
  if (!ec)
    addresses_->worked(to_);
  answered_();
}

} // namespace holdfast::uplink
