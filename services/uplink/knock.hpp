#pragma once

#include "common/config/config.hpp"
#include "common/net/address_cache.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace holdfast::uplink {

/// The probes of a link without a session: while nothing answers there, one TCP connection after the other is asked for
/// and let go at once, so that the way's return is seen whatever the back-off of the attempts is. As often as the
/// monitor would probe, within the same budget; the addresses of a name have their turns. Lives in the io loop's thread; start(), stop() and asked() from any.
class knock : public std::enable_shared_from_this<knock> {
public:
  /// `answered`, in the io loop's thread: the other end's TCP said something, be it no. It has stopped then.
  static std::shared_ptr<knock> make(boost::asio::io_context& io, const config::link& link,
                                     std::shared_ptr<net::address_cache> addresses, std::function<void()> answered);

  void start();
  void stop();
  std::uint64_t asked() const noexcept { return asked_; }

private:
  knock(boost::asio::io_context& io, const config::link& link, std::shared_ptr<net::address_cache> addresses,
        std::function<void()> answered);

  void wait();
  void ask();
  void heard(const boost::system::error_code& ec);
  void end();

  boost::asio::io_context& io_;
  config::link link_;
  std::shared_ptr<net::address_cache> addresses_;
  std::function<void()> answered_;
  boost::asio::steady_timer timer_;
  boost::asio::ip::tcp::socket socket_;
  bool on_ = false;
  std::string to_;
  std::size_t turn_ = 0;  // of a name's addresses
  std::atomic<std::uint64_t> asked_{0};
};

/// Whether the other end, or a router before it, had nothing to say to an attempt.
bool silent(const boost::system::error_code& ec);

} // namespace holdfast::uplink
