#pragma once

#include "common/config/config.hpp"
#include "common/core/blob.hpp"
#include "common/net/path.hpp"

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

/// One attempt at a connection to the destination, and the connection it becomes: resolve, connect, TLS, frames. Lives
/// in the io loop's thread; start(), send(), path() and close() may be called from any. Callbacks run in the io loop's
/// thread; on_end comes exactly once and is the last.
class connection : public std::enable_shared_from_this<connection> {
public:
  struct callbacks {
    std::function<void(const std::string& peer)> on_open;
    std::function<void(const v1::WireMessage&)> on_message;
    std::function<void(const std::string& why)> on_end;
  };

  static std::shared_ptr<connection> make(boost::asio::io_context& io, const config::link& link,
                                          std::shared_ptr<boost::asio::ssl::context> tls, callbacks c);
  virtual ~connection() = default;
  virtual void start() = 0;
  /// A ping goes ahead of all that is not yet in the kernel. What waits here is what the store has leased to this link:
  /// its window, or one batch.
  virtual void send(const v1::WireMessage& header, blob payload = {}) = 0;
  /// What the kernel says of the connection, as of the last call: each has it looked at anew, in the io loop's thread.
  virtual net::path_figures path() = 0;
  virtual void close(const std::string& why) = 0;
};

} // namespace holdfast::uplink
