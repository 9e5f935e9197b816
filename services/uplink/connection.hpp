#pragma once

#include "common/config/config.hpp"
#include "common/core/blob.hpp"

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
/// in the io loop's thread; start(), send() and close() may be called from any. Callbacks run in the io loop's thread;
/// on_end comes exactly once and is the last.
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
  virtual void send(const v1::WireMessage& header, blob payload = {}) = 0;
  virtual void close(const std::string& why) = 0;
};

} // namespace holdfast::uplink
