#pragma once

// The inside of connection; for its own sources only. connection.cpp has what the session calls and the end,
// connection_attempt.cpp the way to a session, connection_frames.cpp what passes over it.

#include "services/uplink/connection.hpp"
#include "services/uplink/outbox.hpp"

#include "common/net/name_lookup.hpp"
#include "common/net/stream.hpp"
#include "common/net/wire.hpp"
#include "holdfast/v1/wire.pb.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::uplink {

class tcp_connection final : public connection {
public:
  tcp_connection(boost::asio::io_context& io, const config::link& link, std::shared_ptr<boost::asio::ssl::context> tls,
                 std::shared_ptr<net::address_cache> addresses, const v1::WireMessage& hello, callbacks c)
      : io_(io), link_(link), tls_(std::move(tls)), addresses_(std::move(addresses)), hello_(hello),
        callbacks_(std::move(c)), names_(io, {link.interface, link.source_address, {}}), deadline_(io), patience_(io) {}

  void start() override;
  void send(const v1::WireMessage& header, blob payload) override;
  net::path_figures path() override;
  void close(const std::string& why, bool its_fault) override;

private:
  using tcp = boost::asio::ip::tcp;
  using error_code = boost::system::error_code;
  using clock = std::chrono::steady_clock;

  static constexpr std::size_t max_reply_payload = 0;  // a collector sends headers only

  std::shared_ptr<tcp_connection> me() { return std::static_pointer_cast<tcp_connection>(shared_from_this()); }
  bool over(std::uint64_t n) const noexcept { return ended_ || n != turn_; }
  void failed(const std::string& why);
  void let_go();
  void end(const std::string& why, bool its_fault = false);

  void resolve();
  void resolved(const std::vector<std::string>& addresses);
  void use_known(const std::string& cause);
  void connect(const std::vector<std::string>& addresses, const std::string& cause);
  void connect_next(const std::string& cause);
  std::string not_connected(const std::string& cause) const;
  void connected(error_code ec);
  void secured(error_code ec);

  void read();
  void take_frames();
  void take(const v1::WireMessage& m);
  void queue(const v1::WireMessage& header, blob payload);
  void write();
  void look();
  void tell_path(int descriptor);

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

} // namespace holdfast::uplink
