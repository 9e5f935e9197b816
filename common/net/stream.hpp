#pragma once

#include "common/config/config.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio::ssl {
class context;
}

namespace holdfast::net {

/// A connected byte stream, plain TCP or TLS, used from its io_context's thread only. One read and one write may be
/// under way at a time.
class stream {
public:
  using done = std::function<void(boost::system::error_code, std::size_t)>;
  virtual ~stream() = default;
  virtual void read_some(boost::asio::mutable_buffer into, done handler) = 0;
  /// Writes all of the buffers, which must live until the handler runs.
  virtual void write(const std::vector<boost::asio::const_buffer>& from, done handler) = 0;
  virtual void handshake(bool as_client, std::function<void(boost::system::error_code)> handler) = 0;
  virtual boost::asio::ip::tcp::socket& socket() = 0;
  /// Why a handshake failed, for people: with what is wrong about the certificate.
  virtual std::string explain(boost::system::error_code ec) { return ec.message(); }
  /// Both directions at once; pending handlers run with an error.
  void close();
  /// "host:port" of the other end, also after it left.
  const std::string& peer() const { return peer_; }
  void remember_peer();

private:
  std::string peer_ = "unconnected";
};

/// TLS 1.2 and 1.3 with ECDHE and AEAD ciphers, peers verified. Throws std::runtime_error "failed to load FILE: cause".
/// As a server, ca_file makes client certificates obligatory.
std::shared_ptr<boost::asio::ssl::context> make_tls_context(const config::tls& t, bool as_client);

/// `context` null: plain TCP. `expected_name` is checked against the server's certificate.
std::shared_ptr<stream> make_stream(boost::asio::ip::tcp::socket socket,
                                    const std::shared_ptr<boost::asio::ssl::context>& context,
                                    const std::string& expected_name = {});

/// No Nagle; little that is not yet sent waits in the kernel, where nothing can overtake it; kernel keepalive and
/// TCP_USER_TIMEOUT as configured (Linux tcp(7)).
void tune(boost::asio::ip::tcp::socket& socket, const config::keepalive& k, std::chrono::milliseconds user_timeout);

} // namespace holdfast::net
