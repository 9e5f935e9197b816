#pragma once

#include "common/config/config.hpp"
#include "common/core/blob.hpp"
#include "common/net/address_cache.hpp"
#include "common/net/path.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace boost::asio {
class io_context;
namespace ssl {
class context;
}
}
namespace holdfast::v1 {
class WireMessage;
}

namespace holdfast::uplink {

/// One attempt at a session with the destination, and the connection it becomes: resolve, connect, TLS, hello, frames.
/// Lives in the io loop's thread, where alone it uses `addresses`; start(), send(), path() and close() may be called from
/// any. Callbacks run in the io loop's thread; on_end comes exactly once and is the last.
///
/// An address works once the other end has welcomed us there. Until then each of several has its share of what is left
/// of connect_timeout, and the next one follows where it fails in any way.
///
/// A name is resolved for each attempt, asked where the connection will go. Where that fails or takes longer than
/// `resolve_timeout` (at most half of the link's connect_timeout), the last known addresses are used.
class connection : public std::enable_shared_from_this<connection> {
public:
  static constexpr std::chrono::milliseconds resolve_timeout{1000};

  struct callbacks {
    /// Goes to this address, from this own one (empty: not decided). Comes again when a connection was made.
    std::function<void(const std::string& to, const std::string& from)> on_way;
    /// The other end's TCP has answered; TLS follows.
    std::function<void()> on_reached;
    /// The other end welcomes us; its welcome follows as on_message. Only now anything may be sent.
    std::function<void(const std::string& peer)> on_open;
    std::function<void(const v1::WireMessage&)> on_message;
    /// `answered`: the other end's TCP said something, be it no.
    std::function<void(const std::string& why, bool answered)> on_end;
  };

  static std::shared_ptr<connection> make(boost::asio::io_context& io, const config::link& link,
                                          std::shared_ptr<boost::asio::ssl::context> tls,
                                          std::shared_ptr<net::address_cache> addresses,
                                          const v1::WireMessage& hello, callbacks c);
  virtual ~connection() = default;
  virtual void start() = 0;
  /// A ping goes ahead of all that is not yet in the kernel, live records ahead of the backlog. What waits here is what
  /// the store has leased to this link: its window, or one batch.
  virtual void send(const v1::WireMessage& header, blob payload = {}) = 0;
  /// What the kernel says of the connection now; after its end, what it said last.
  virtual net::path_figures path() = 0;
  /// `its_fault`: the other end does not do as it should. A session that had not lasted `reconnect.stable` then counts
  /// against its address, which is tried behind the others.
  virtual void close(const std::string& why, bool its_fault = false) = 0;
};

} // namespace holdfast::uplink
